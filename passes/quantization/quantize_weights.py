"""Store weights in 8, 4 or 2 bits; activations stay float32.

What becomes of a weight depends on who reads it:

    MatMul(x, w), Gemm         portable: MatMul(x, DequantizeLinear(codes, scale)): onnxruntime multiplies by
                               the codes, as OpenVINO does; ort-cpu: MatMulNBits, at any opset
    Gather(table, ids)         the codes of the rows are read, and these alone decoded
    Conv, LSTM, GRU, others    w = (Cast(codes) - zero point) * scale, which a runtime folds when it loads the
                               model: the file is smaller, memory and time are as before

A DequantizeLinear would be of no use to the last kind: onnxruntime 1.31 keeps that of a constant and runs it
every time (1.3 times slower for a 3x3 Conv), and fails to load one in a body whose constants lie outside.
Weights that several products read, that lie outside of the body that reads them, or that blocks do not divide
(OpenVINO takes no shorter last block) are decoded at load, too.

Measured in onnxruntime 1.31 with one thread (AVX512-VNNI): a product with a matrix [384, 1536] takes for 128
rows 0.99 (4 bits by blocks of 32) and 0.86 (8 bits) of float32, for one row of [1024, 1024] 0.25 and 0.32; of
embeddings, 8 bits cost 0.03 ms and 4 bits 0.08 ms for 128 rows of 384. Embeddings keep at least 4 bits:
nothing averages the error of what is only looked up. Convs keep 8: they sum too few products. MatMulNBits
takes real zero points as well, but decodes to float32 with them: 2 (128 rows) to 20 times (1 row) the time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from graphopt.errors import UsageError
from graphopt.ir import Changes, Operator
from graphopt.passes.ort._contrib import CONTRIB
from graphopt.passes.quantization._coding import METHODS, NAME, TYPES, Coding, Request, weights_of
from graphopt.passes.quantization._decode import HQQ
from graphopt.passes.quantization._rounded import move_back
from graphopt.passes.quantization._weights import WEIGHT_INPUTS
from graphopt.pipeline import Pass
from graphopt.quant.codebook import TABLES
from graphopt.targets import Target

LARGEST_ERROR_OF_TABLES = 0.25
"""Half of what lies between the two largest powers of two."""


@dataclass(frozen=True)
class QuantizeWeights(Pass):
    """Store weights in 8, 4 or 2 bits.

    Attributes:
        bits: Of a weight: 8, 4 or 2.
        block: Weights that share a scale; 0 for 32 of 4 and 2 bits, and a whole channel of 8. Embeddings have
            blocks of 128 at most, or whole rows.
        symmetric: Do without zero points: a bit faster to decode, and a bit less accurate.
        method: How the range of a group is found: minmax, or mse for the least squared error. Decoded at
            load: hqq, which has real zero points and cares little for outliers, and k-means, log,
            power-of-two or tanh: indices into a table of such levels.
        target: Name or file of a target; one with com.microsoft gets MatMulNBits and GatherBlockQuantized.
        least: Fewest elements of a weight that is quantized; of fewer, scales and names take what codes save.
        least_read: Fewest elements of a matrix or table of which codes are read as the model runs; smaller
            ones are decoded at load, which costs no time.
        keep: Names of nodes whose weights stay float32.
    """

    name: ClassVar[str] = NAME
    lossy: ClassVar[bool] = True
    bits: int = 8
    block: int = 0
    symmetric: bool = False
    method: str = "minmax"
    target: str = "portable"
    least: int = 512
    least_read: int = 16384
    keep: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.bits not in TYPES or self.method not in METHODS or self.block < 0:
            found = f"bits={self.bits}, block={self.block}, method={self.method}"
            raise UsageError(
                f"quantize-weights: {found}; expected bits of {', '.join(map(str, TYPES))}, a block of 0 or "
                f"more and a method of {', '.join(METHODS)}"
            )
        if self.symmetric and self.method == HQQ:
            raise UsageError("quantize-weights: hqq finds zero points, and symmetric weights have none")

    @property
    def largest_error(self) -> float:
        """Half a step of so many bits, and a little more; levels of a table may lie further apart."""
        return LARGEST_ERROR_OF_TABLES if self.method in TABLES else float(2.0 ** (1 - self.bits))

    def roots(self) -> frozenset[Operator]:
        """Operators with weights."""
        return frozenset(("", op_type) for op_type in WEIGHT_INPUTS)

    def apply(self, model: ir.Model, changes: Changes) -> None:
        request = Request(
            self.bits, self.block, self.symmetric, self.method, self.least, self.least_read, self.keep,
            contrib=CONTRIB in Target.load(self.target).domains,
        )  # fmt: skip
        coding = Coding(request, model, changes)
        for weight in weights_of(model):
            coding.quantize(weight)
        coding.finish()
        for weight in model.graph.initializers.values():
            move_back(weight)
