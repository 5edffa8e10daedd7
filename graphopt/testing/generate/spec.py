"""What models a generator may make."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import onnx_ir as ir

from graphopt.errors import UsageError
from graphopt.ir import Rule
from graphopt.ir.ops import CONTROL_FLOW

DTYPES = (
    "float32", "int64", "float16", "bool", "float64", "int32", "uint8", "int8", "bfloat16", "int16", "uint16",
    "uint32", "uint64", "string", "int4", "uint4",
)  # fmt: skip
"""Element types by their names in numpy and ml_dtypes; the first are taken more often."""

OPSETS = (7, 26)
"""The oldest opset that onnxruntime reads as written, and the newest."""

_NAMES = {"float32": "FLOAT", "float64": "DOUBLE"}


@dataclasses.dataclass(frozen=True)
class Spec:
    """Bounds of the models that a generator makes.

    Attributes:
        ops: Operators to be built from; () for all of the standard.
        max_nodes: Most nodes of the main graph, Constant not counted.
        dtypes: Element types of graph inputs and constants, by their names in numpy and ml_dtypes.
        dynamic: Let graph inputs have symbolic and unknown dimensions.
        subgraphs: Let in If, Loop, Scan and SequenceMap.
        opsets: The oldest and the newest opset.
        specials: Let in NaN, infinities, denormals and operators that jump; None for every other model.
        around: Rules whose patterns to build, and to miss narrowly.
        often: Operators to be taken more often.
        named: Words; recipes that have one of them in their names are taken far more often.
    """

    ops: tuple[str, ...] = ()
    max_nodes: int = 12
    dtypes: tuple[str, ...] = DTYPES
    dynamic: bool = True
    subgraphs: bool = True
    opsets: tuple[int, int] = OPSETS
    specials: bool | None = None
    around: tuple[Rule, ...] = ()
    often: tuple[str, ...] = ()
    named: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for field in ("ops", "dtypes", "opsets", "around", "often", "named"):  # lists do as well
            object.__setattr__(self, field, tuple(getattr(self, field)))
        if self.max_nodes < 1:
            raise UsageError(f"max_nodes is {self.max_nodes}, expected 1 or more")
        for name in self.dtypes:
            if name not in DTYPES:
                raise UsageError(f"unknown element type {name!r}", hint=f"known are {', '.join(DTYPES)}")
        if not self.opsets[0] <= self.opsets[1]:
            raise UsageError(f"opsets from {self.opsets[0]} to {self.opsets[1]} are none")

    def allows(self, op_type: str) -> bool:
        """Whether nodes of that operator may be made."""
        if op_type in CONTROL_FLOW and not self.subgraphs:
            return False
        return not self.ops or op_type in self.ops

    def data_types(self) -> Sequence[ir.DataType]:
        """The element types."""
        return [ir.DataType[_NAMES.get(name, name.upper())] for name in self.dtypes]
