"""Random small models for the optimizer: odd broadcasts, shared and inner outputs, constants of odd values.

    python benchmarks/random_models.py [--first SEED] [--count N]

Optimizes each at levels 1 and 2 with the optimizer's own check off and compares with the original in
onnxruntime; prints the seeds that fail and exits 1 on any. A seed always gives the same model.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from onnx import helper, numpy_helper

from graphopt.compile import optimize
from graphopt.errors import ExecutionError
from graphopt.execute.compare import compare
from graphopt.execute.conditioning import rounding_noise
from graphopt.execute.session import Session
from graphopt.io import to_proto
from graphopt.testing.levels import assert_as_valid

Array = np.ndarray[Any, Any]

OPSET, IR_VERSION = 18, 9
NODES = (4, 18)
MAX_ELEMENTS = 20_000
MAX_MAGNITUDE = 1e4
"""Values that grow beyond are not built upon: rounding would drown what is to be seen."""
NOISE_FACTOR = 16.0
"""How many times further than rounding alone an ill-conditioned model may move at level 2."""

SMOOTH = (
    "Abs", "Elu", "Erf", "Exp", "HardSigmoid", "HardSwish", "Identity", "LeakyRelu", "Neg", "Relu", "Sigmoid",
    "Sin", "Softplus", "Tanh",
)  # fmt: skip
ROUGH = ("Ceil", "Floor", "Log", "Reciprocal", "Round", "Sign", "Sqrt")


SUMS = ("Conv", "ConvTranspose", "Gemm", "MatMul")
"""Over no elements onnxruntime leaves what memory held."""


@dataclass
class Known:
    """A value of the model under construction and what it is for the inputs at hand."""

    name: str
    array: Array


@dataclass
class Builder:
    """Grows a random model; each node is run as soon as it is made, and dropped if it cannot run.

    Attributes:
        rng: The only source of chance.
        wild: Let in operators that jump, and constants of zeros, NaN and infinities.
    """

    rng: np.random.Generator
    wild: bool
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    initializers: list[onnx.TensorProto] = field(default_factory=list)
    inputs: list[onnx.ValueInfoProto] = field(default_factory=list)
    values: list[Known] = field(default_factory=list)
    constants: list[Known] = field(default_factory=list)

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def choose(self, options: Sequence[Any]) -> Any:
        return options[int(self.rng.integers(len(options)))]

    def pick(self, kind: str = "f", rank: int | None = None) -> Known:
        """A value of that dtype kind and rank, late ones more often; made from another if there is none."""
        fit = [v for v in self.values if v.array.dtype.kind in kind and rank in (None, v.array.ndim)]
        if fit:
            return fit[max(int(self.rng.integers(len(fit))), int(self.rng.integers(len(fit))))]
        if kind == "b":
            return self.op("Greater", self.pick(), self.const(np.array(0.1, np.float32)))
        source = self.pick("fib") if rank is not None else self.values[0]
        if rank is not None:
            return self.op("Reshape", source, self.ints(factors(self.rng, source.array.size, rank)))
        return self.op("Cast", source, to=onnx.TensorProto.INT64 if kind == "i" else onnx.TensorProto.FLOAT)

    def const(self, array: Array) -> Known:
        """An initializer, a Constant node, or an equal constant that is there already."""
        if self.chance(0.3):
            for known in self.constants:
                same = known.array.shape == array.shape and known.array.dtype == array.dtype
                if same and (array.dtype.kind == "f" or np.array_equal(known.array, array)):
                    return known
        known = Known(f"c{len(self.constants)}", array)
        tensor = numpy_helper.from_array(array, known.name)
        if self.chance(0.2):
            self.nodes.append(helper.make_node("Constant", [], [known.name], value=tensor))
        else:
            self.initializers.append(tensor)
        self.constants.append(known)
        return known

    def ints(self, elements: Sequence[int]) -> Known:
        return self.const(np.array(elements, np.int64))

    def floats(self, shape: Sequence[int], *, positive: bool = False) -> Known:
        """Float elements: random, or all alike, now and then with what only a wild model holds."""
        array = self.rng.normal(0.0, 1.0, shape).astype(np.float32)
        if positive:
            return self.const(np.abs(array) + np.float32(0.5))
        if self.chance(0.35):
            array = np.full(shape, self.choose([1.0, 1.0, -1.0, 2.0, 0.5, -0.25, 3.0]), np.float32)
        elif self.chance(0.2):
            array = np.full(shape, self.choose([0.0, 0.0, -0.0]), np.float32)
        if self.wild and array.size and self.chance(0.15):
            array.reshape(-1)[0] = self.choose([0.0, -0.0, np.nan, np.inf, -np.inf, 1e-40, 1e30])
        return self.const(array)

    def broadcast_shape(self, shape: Sequence[int]) -> list[int]:
        """A shape that broadcasts with `shape`, now and then to a larger one."""
        made = [size if self.chance(0.6) else 1 for size in shape]
        if self.chance(0.15) and 1 in shape:
            made[shape.index(1)] = 2
        made = made[int(self.rng.integers(len(made) + 1)) if self.chance(0.4) else 0 :]
        return [1, *made] if self.chance(0.1) else made

    def op(
        self, op_type: str, *operands: Known | None, outputs: int = 1, captured: int = 0, **attributes: Any
    ) -> Known:
        """Add a node and return its first output; `ExecutionError` if it cannot run on these operands.

        The last `captured` operands are what its bodies read; they are no inputs of the node.
        """
        names = [f"v{len(self.nodes)}_{index}" for index in range(outputs)]
        inputs = ["" if each is None else each.name for each in operands[: len(operands) - captured]]
        if op_type in SUMS and not all(each.array.size for each in operands if each is not None):
            raise ExecutionError("a sum of no elements")
        node = helper.make_node(op_type, inputs, names, name=f"n{len(self.nodes)}", **attributes)
        arrays = run_node(node, {each.name: each.array for each in operands if each is not None})
        for array in arrays:
            large = array.dtype.kind == "f" and not np.all(np.abs(array) <= MAX_MAGNITUDE)
            if array.size > MAX_ELEMENTS or (large and not self.wild):
                raise ExecutionError("too large")
        self.nodes.append(node)
        made = [Known(name, array) for name, array in zip(names, arrays, strict=True)]
        self.values.extend(made)
        return made[0]


def run_node(node: onnx.NodeProto, arrays: dict[str, Array]) -> list[Array]:
    """The outputs of one node."""

    def info(name: str, dtype: int, shape: Sequence[int] | None) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, dtype, shape)

    ends = [info(name, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape) for name, a in arrays.items()]
    outputs = [onnx.ValueInfoProto(name=name) for name in node.output]
    graph = helper.make_graph([node], "node", ends, outputs)
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    inferred = onnx.shape_inference.infer_shapes(proto)
    results = Session(ir.from_proto(inferred), fallback=False).run(arrays)
    return [np.asarray(results[name]) for name in node.output]


def factors(rng: np.random.Generator, size: int, rank: int) -> list[int]:
    """`rank` sizes that multiply to `size`."""
    sizes = []
    for _ in range(rank - 1):
        divisors = [d for d in (1, 2, 3, 4, 6) if size and size % d == 0] or [1]
        sizes.append(int(divisors[int(rng.integers(len(divisors)))]))
        size //= sizes[-1]
    return [size, *sizes] if rng.random() < 0.5 else [*sizes, size]


def unary(b: Builder) -> None:
    """One operand, elementwise."""
    b.op(b.choose(SMOOTH if not b.wild or b.chance(0.7) else ROUGH), b.pick())


def binary(b: Builder) -> None:
    """Two operands, elementwise: most often one of them a constant that broadcasts."""
    x = b.pick()
    ops = ["Add", "Mul", "Sub", "Add", "Mul", "Div", "Min", "Max"]
    if b.chance(0.7):
        op_type = b.choose(ops)
        y = b.floats(b.broadcast_shape(list(x.array.shape)), positive=op_type == "Div" and not b.wild)
    else:
        op_type, y = b.choose([name for name in ops if name != "Div" or b.wild]), b.pick()
    b.op(op_type, *((x, y) if op_type == "Div" or b.chance(0.7) else (y, x)))


def integers(b: Builder) -> None:
    """Elementwise arithmetic of integers."""
    x = b.pick("i")
    y = b.const(b.rng.integers(-3, 4, b.broadcast_shape(list(x.array.shape))).astype(x.array.dtype))
    b.op(b.choose(["Add", "Sub", "Mul", "Min", "Max"]), *((x, y) if b.chance(0.6) else (y, x)))


def clip(b: Builder) -> None:
    """A Clip with any bounds, also none or a maximum below the minimum."""

    def bound() -> Known | None:
        if b.chance(0.2):
            return None
        return b.const(np.array(b.choose([-2.0, -1.0, 0.0, 0.5, 1.0, 6.0]), np.float32))

    b.op("Clip", b.pick(), bound(), bound())


def conv(b: Builder) -> None:
    """A Conv or ConvTranspose; weights may be shared."""
    x = b.pick(rank=4)
    channels, group = x.array.shape[1], 1
    if b.chance(0.25):
        group = channels
    outputs = int(b.choose([channels, 2, 3])) if group == 1 else channels * int(b.choose([1, 2]))
    kernel = int(b.choose([1, 1, 3]))
    transposed = b.chance(0.15)
    per_group = outputs // group
    shape = [channels, per_group] if transposed else [outputs, channels // group]
    weight = b.floats([*shape, kernel, kernel])
    bias = b.floats([outputs]) if b.chance(0.5) else None
    attributes: dict[str, Any] = {"group": group}
    if b.chance(0.5):
        attributes["pads"] = [int(b.choose([0, 1])) for _ in range(4)] if b.chance(0.3) else [kernel // 2] * 4
    if b.chance(0.2):
        attributes["strides"] = [int(b.choose([1, 2])), int(b.choose([1, 2]))]
    b.op("ConvTranspose" if transposed else "Conv", x, weight, *([bias] if bias else []), **attributes)


def norm(b: Builder) -> None:
    """A BatchNormalization."""
    x = b.pick(rank=int(b.choose([2, 3, 4, 4])))
    channels = [x.array.shape[1]]
    scale, bias, mean = (b.floats(channels) for _ in range(3))
    if b.chance(0.2):
        bias = mean = scale
    b.op("BatchNormalization", x, scale, bias, mean, b.floats(channels, positive=True))


def product(b: Builder) -> None:
    """A MatMul or Gemm with a constant."""
    x = b.pick(rank=int(b.choose([2, 2, 3, 4])))
    inner, outer = x.array.shape[-1], int(b.choose([1, 2, 5]))
    if x.array.ndim == 2 and b.chance(0.5):
        trans_a, trans_b = int(b.chance(0.2)), int(b.chance(0.4))
        inner = x.array.shape[0] if trans_a else inner
        weight = b.floats([outer, inner] if trans_b else [inner, outer])
        bias = b.floats(b.choose([[outer], [1, outer], [1], []])) if b.chance(0.6) else None
        attributes: dict[str, Any] = {"alpha": 0.5, "beta": 2.0} if b.chance(0.3) else {}
        operands = [x, weight, *([bias] if bias else [])]
        b.op("Gemm", *operands, transA=trans_a, transB=trans_b, **attributes)
    elif b.chance(0.2):
        b.op("MatMul", b.floats([outer, x.array.shape[-2]]), x)
    else:
        b.op("MatMul", x, b.floats([inner, outer]))


def view(b: Builder) -> None:
    """The same elements under another shape, or repeated along dimensions of size 1."""
    x = b.pick("fib" if b.chance(0.2) else "f")
    shape, rank = list(x.array.shape), x.array.ndim
    kind = b.choose(
        ["Reshape", "Reshape", "Transpose", "Transpose", "Squeeze", "Unsqueeze", "Flatten", "Expand"]
    )
    if kind == "Reshape":
        target = factors(b.rng, x.array.size, int(b.choose([1, 2, 3, 4])))
        if b.chance(0.4):
            target[int(b.rng.integers(len(target)))] = -1
        if b.chance(0.2) and rank and target[0] == shape[0]:
            target[0] = 0
        b.op("Reshape", x, b.ints(target))
    elif kind == "Transpose":
        b.op("Transpose", x, perm=b.rng.permutation(rank).tolist())
    elif kind == "Squeeze":
        axes = [axis for axis, size in enumerate(shape) if size == 1]
        b.op("Squeeze", x, b.ints(axes[:1] if b.chance(0.5) else axes))
    elif kind == "Unsqueeze":
        axis = int(b.rng.integers(rank + 1))
        b.op("Unsqueeze", x, b.ints([axis - rank - 1 if b.chance(0.3) else axis]))
    elif kind == "Flatten":
        b.op("Flatten", x, axis=int(b.rng.integers(rank + 1)))
    else:
        b.op("Expand", x, b.ints(b.broadcast_shape(shape)))


def pieces(b: Builder) -> None:
    """What takes apart, joins, repeats or pads."""
    x = b.pick("fi" if b.chance(0.2) else "f")
    shape, rank = x.array.shape, x.array.ndim
    if not rank:
        return
    axis = int(b.rng.integers(rank))
    kind = b.choose(["Concat", "Split", "Slice", "Slice", "Gather", "Pad", "Tile"])
    if kind == "Concat":
        alike = [
            v
            for v in b.values
            if v.array.ndim == rank
            and v.array.dtype == x.array.dtype
            and all(a == c for i, (a, c) in enumerate(zip(v.array.shape, shape, strict=True)) if i != axis)
        ]
        b.op("Concat", *(b.choose(alike) for _ in range(int(b.choose([1, 2, 2, 3])))), axis=axis)
    elif kind == "Split":
        first = int(b.rng.integers(shape[axis] + 1))
        b.op("Split", x, b.ints([first, shape[axis] - first]), axis=axis, outputs=2)
        if b.chance(0.4):
            b.op("Concat", *b.values[-2:], axis=axis)
    elif kind == "Slice":
        start, step = int(b.rng.integers(-shape[axis] - 1, shape[axis] + 1)), int(b.choose([1, 1, 1, 2, -1]))
        stop = int(b.choose([shape[axis], -1, 1 << 62, -(1 << 62), 2]))
        b.op(
            "Slice", x, b.ints([start]), b.ints([stop]), b.ints([axis - rank * b.chance(0.3)]), b.ints([step])
        )
    elif kind == "Gather":
        count = b.choose([(), (1,), (2,), (2, 2)])
        b.op("Gather", x, b.const(b.rng.integers(-shape[axis], shape[axis], count)), axis=axis)
    elif kind == "Pad":
        pads = [int(b.choose([0, 0, 0, 1, 2, -1])) for _ in range(2 * rank)]
        if x.array.dtype.kind != "f" or b.chance(0.3):
            b.op("Pad", x, b.ints(pads), mode=b.choose(["constant", "edge", "reflect"]))
        else:
            b.op("Pad", x, b.ints(pads), b.const(np.array(b.choose([0.0, 0.0, 1.5, -1.0]), np.float32)))
    else:
        b.op("Tile", x, b.ints([int(b.choose([1, 1, 2])) for _ in range(rank)]))


def cast(b: Builder) -> None:
    """One Cast, or two in a row."""
    types = ["FLOAT", "DOUBLE", "FLOAT16"]
    if b.wild:
        types += ["INT32", "INT64", "INT8", "UINT8", "BOOL"]
    x = b.op("Cast", b.pick("fib"), to=onnx.TensorProto.DataType.Value(b.choose(types)))
    if b.chance(0.8):
        b.op("Cast", x, to=onnx.TensorProto.DataType.Value(b.choose(["FLOAT", "FLOAT", b.choose(types)])))


def reduce(b: Builder) -> None:
    """A reduction over any axes, also none."""
    x = b.pick()
    ops = ["ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin"]
    op_type = b.choose([*ops, "ReduceL1", "ReduceSumSquare"])
    axes = [axis for axis in range(x.array.ndim) if b.chance(0.4)]
    keep = int(b.chance(0.6))
    if b.chance(0.1):
        b.op(op_type, x, keepdims=keep)
    else:
        b.op(op_type, x, b.ints(axes), keepdims=keep, noop_with_empty_axes=int(b.chance(0.4)))


def pool(b: Builder) -> None:
    """A pooling window or a global pool."""
    x = b.pick(rank=4)
    kind = b.choose(["MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool"])
    if kind.startswith("Global"):
        b.op(kind, x)
        return
    kernel = int(b.choose([1, 2, 3]))
    pads = [int(b.chance(0.3)) if kernel > 1 else 0 for _ in range(4)]
    extra = {"count_include_pad": int(b.chance(0.5))} if kind == "AveragePool" else {}
    b.op(kind, x, kernel_shape=[kernel, kernel], pads=pads, **extra)


def select(b: Builder) -> None:
    """A Where, of a constant condition or another."""
    x = b.pick()
    shape = b.broadcast_shape(list(x.array.shape))
    if b.wild and b.chance(0.5):
        condition = b.pick("b")
    elif b.chance(0.5):
        condition = b.const(np.full(shape, b.chance(0.5)))
    else:
        condition = b.const(b.rng.random(shape) < 0.5)
    y = b.pick() if b.chance(0.5) else b.floats(b.broadcast_shape(list(x.array.shape)))
    b.op("Where", condition, *((x, y) if b.chance(0.5) else (y, x)))


def logic(b: Builder) -> None:
    """Comparisons and their logic: wild models only."""
    if not b.wild:
        return
    kind = b.choose(["Equal", "Greater", "Less", "And", "Or", "Not", "ArgMax", "IsNaN"])
    if kind in ("And", "Or"):
        x = b.pick("b")
        y = (
            b.pick("b")
            if b.chance(0.5)
            else b.const(np.full(b.broadcast_shape(list(x.array.shape)), b.chance(0.5)))
        )
        b.op(kind, x, y)
    elif kind == "Not":
        b.op(kind, b.pick("b"))
    elif kind == "ArgMax":
        x = b.pick()
        b.op(kind, x, axis=int(b.rng.integers(max(x.array.ndim, 1))), keepdims=int(b.chance(0.5)))
    elif kind == "IsNaN":
        b.op(kind, b.pick())
    else:
        b.op(kind, b.pick(), b.pick() if b.chance(0.5) else b.floats([]))


def softmax(b: Builder) -> None:
    """A Softmax."""
    x = b.pick()
    b.op("Softmax", x, axis=int(b.rng.integers(max(x.array.ndim, 1))))


def repeat(b: Builder) -> None:
    """The same node once more, for others to use."""
    index = int(b.rng.integers(len(b.nodes))) if b.nodes else 0
    node = b.nodes[index] if b.nodes else None
    if node is None or node.op_type == "Constant":
        return
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    copy.name = f"n{len(b.nodes)}"
    copy.output[:] = [f"v{len(b.nodes)}_{place}" for place in range(len(node.output))]
    known = {value.name: value for value in b.values}
    b.values.extend(Known(n, known[o].array) for n, o in zip(copy.output, node.output, strict=True))
    b.nodes.append(copy)


def shape_chain(b: Builder) -> None:
    """Flatten what follows the first dimension, through Shape, Gather, Unsqueeze and Concat."""
    x = b.pick()
    if not x.array.ndim:
        return
    shape = b.op("Shape", x)
    batch = b.op("Gather", shape, b.const(np.array(0, np.int64)))
    batch = b.op("Unsqueeze", batch, b.ints([0]))
    b.op("Reshape", x, b.op("Concat", batch, b.ints([-1]), axis=0))


def branch(b: Builder) -> None:
    """An If over elementwise work on outer values; both branches use the same inner names."""
    x = b.pick()
    flags = [value for value in b.values if value.array.dtype == bool and not value.array.ndim]
    known = b.const(np.array(b.chance(0.5)))
    condition = b.choose(flags) if flags and b.chance(0.7) else known
    bodies = {}
    used = {condition.name: condition, x.name: x}
    for place, name in enumerate(("then_branch", "else_branch")):
        nodes = []
        last = x.name
        for step in range(int(b.rng.integers(1, 4))):
            output = f"i{len(b.nodes)}_{step}"
            if b.chance(0.5):
                nodes.append(helper.make_node(b.choose(SMOOTH), [last], [output]))
            else:
                y = b.floats([]) if b.chance(0.5) else x
                used[y.name] = y
                nodes.append(helper.make_node(b.choose(["Add", "Mul", "Sub"]), [last, y.name], [output]))
            last = output
        # Branches may share inner names with each other, not with the graph around them.
        end = onnx.ValueInfoProto(name=last)
        bodies[name] = helper.make_graph(nodes, f"branch{place}", [], [end])
    b.op("If", *used.values(), captured=len(used) - 1, **bodies)


STEPS: tuple[tuple[Callable[[Builder], None], float], ...] = (
    (unary, 3), (binary, 6), (integers, 0.7), (clip, 1.5), (conv, 3), (norm, 2), (product, 2), (view, 4),
    (pieces, 4), (cast, 1), (reduce, 1.5), (pool, 1), (select, 1), (logic, 0.7), (softmax, 0.4), (repeat, 1),
    (shape_chain, 0.7), (branch, 0.7),
)  # fmt: skip


def make_model(seed: int) -> tuple[onnx.ModelProto, list[dict[str, Array]]]:
    """A model and three sets of inputs for it, one with other sizes. Odd seeds make wild models."""
    rng = np.random.default_rng(seed)
    b = Builder(rng, wild=bool(seed % 2))
    for index in range(int(b.choose([1, 1, 2]))):
        shape = b.choose([[1, 2, 4, 4], [2, 3, 3, 5], [2, 6], [1, 4, 6], [1, 1, 3, 3], [3, 1, 2], [4]])
        array = rng.normal(0.0, 2.0, shape).astype(np.float32)
        dims = [f"d{index}_{axis}" if b.chance(0.2) else size for axis, size in enumerate(shape)]
        b.inputs.append(helper.make_tensor_value_info(f"x{index}", onnx.TensorProto.FLOAT, dims))
        b.values.append(Known(f"x{index}", array))
    b.inputs.append(helper.make_tensor_value_info("flag", onnx.TensorProto.BOOL, []))
    b.values.append(Known("flag", np.array(b.chance(0.5))))
    weights = np.array([weight for _, weight in STEPS])
    wanted = int(rng.integers(*NODES))
    for _ in range(4 * wanted):
        if len(b.nodes) >= wanted:
            break
        step, _ = STEPS[int(rng.choice(len(STEPS), p=weights / weights.sum()))]
        # A step whose operands do not fit simply is not taken.
        try:
            step(b)
        except (ArithmeticError, ExecutionError, IndexError, ValueError, onnx.shape_inference.InferenceError):
            continue
    return finish(b), [feed(b, resized=False), feed(b, resized=False), feed(b, resized=True)]


def feed(b: Builder, *, resized: bool) -> dict[str, Array]:
    """Fresh inputs; `resized` gives named dimensions other sizes, which the model may not be able to run."""
    made: dict[str, Array] = {"flag": np.array(b.chance(0.5))}
    for info in b.inputs:
        if info.name != "flag":
            dims = info.type.tensor_type.shape.dim
            known = next(value.array.shape for value in b.values if value.name == info.name)
            shape = [
                int(b.choose([1, 2, 3, 5])) if resized and dim.dim_param else size
                for dim, size in zip(dims, known, strict=True)
            ]
            made[info.name] = b.rng.normal(0.0, 2.0, shape).astype(np.float32)
    return made


def finish(b: Builder) -> onnx.ModelProto:
    """The model; its outputs are values that nothing reads and now and then an inner one."""
    inner = b.values[len(b.inputs) :] or b.values
    read = {name for node in b.nodes for name in node.input}
    ends = [value for value in inner if value.name not in read or b.chance(0.1)] or inner[-1:]
    if len(ends) > 1 and b.chance(0.3):
        ends = ends[1:]  # what leads to the first is dead
    outputs = [
        helper.make_tensor_value_info(
            value.name, helper.np_dtype_to_tensor_dtype(value.array.dtype), [None] * value.array.ndim
        )
        for value in ends
    ]
    graph = helper.make_graph(b.nodes, "random", b.inputs, outputs, b.initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)


def failures(model: onnx.ModelProto, feeds: Sequence[dict[str, Array]], *, wild: bool) -> list[str]:
    """What goes wrong at either level; empty if nothing does."""
    original = ir.from_proto(model)
    session = Session(original, fallback=False)
    expected = []
    for feed in feeds:
        try:
            expected.append((feed, session.run(feed)))
        except ExecutionError:
            continue
    found = []
    for level in (1, 2):
        try:
            result = optimize(model, level=level, check=False, measure=False)
            emitted = to_proto(result.model)
            assert_as_valid(model, emitted)
            if result.report.left_out:
                found.append(f"level {level}: left out {result.report.left_out}")
            candidate = Session(ir.from_proto(emitted), fallback=False)
            for feed, outputs in expected:
                actual = candidate.run(feed)
                for name in wrong_outputs(original, feed, outputs, actual, level=level, wild=wild):
                    found.append(f"level {level}: {name}")
        except Exception as error:
            found.append(f"level {level}: {type(error).__name__}: {error}")
    return found


def wrong_outputs(
    model: ir.Model,
    feed: dict[str, Array],
    expected: dict[str, Any],
    actual: dict[str, Any],
    *,
    level: int,
    wild: bool,
) -> list[str]:
    """Level 1 keeps every bit; level 2 rounds otherwise, and of values that jump only shapes are compared."""
    differences = compare(expected, actual)
    if level == 1:
        return [str(each) for each in differences if not each.exact]
    if wild:
        kinds = [(array.dtype, array.shape) for array in expected.values()]
        return [] if kinds == [(array.dtype, array.shape) for array in actual.values()] else ["shapes differ"]
    bad = [each for each in differences if not each.equal]
    noise = rounding_noise(model, feed, expected) if bad else {}
    return [str(each) for each in bad if not each.max_abs <= NOISE_FACTOR * noise.get(each.name, 0.0)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Try a range of seeds."""
    parser = argparse.ArgumentParser(description="Optimize random models and compare.")
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--count", type=int, default=1000, help="number of seeds")
    options = parser.parse_args(arguments)
    failed = nodes = 0
    for seed in range(options.first, options.first + options.count):
        model, feeds = make_model(seed)
        nodes += len(model.graph.node)
        for line in failures(model, feeds, wild=bool(seed % 2)):
            failed += 1
            print(f"seed {seed}: {line}", flush=True)
    print(f"{options.count} models, {nodes} nodes, {failed} failures")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
