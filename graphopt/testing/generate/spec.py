"""What models a generator may make."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import onnx_ir as ir

from graphopt.errors import UsageError
from graphopt.ir import Rule
from graphopt.ir.ops import CONTROL_FLOW
from graphopt.testing.generate.lifetimes import exists, known_operators, lifetime

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
        max_nodes: With so many nodes in the main graph, Constant not counted, no more are begun. What several
            nodes write out is finished, and may go beyond.
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
            given = getattr(self, field)
            if isinstance(given, str):
                raise UsageError(f"{field} is {given!r}, expected a list", hint=f"{field}=[{given!r}]")
            if isinstance(given, int):
                raise UsageError(
                    f"{field} is {given}, expected the oldest and the newest",
                    hint=f"{field}=({given}, {given})",
                )
            object.__setattr__(self, field, tuple(given))
        if self.max_nodes < 1:
            raise UsageError(f"max_nodes is {self.max_nodes}, expected 1 or more")
        if not self.dtypes:
            raise UsageError("dtypes is empty", hint=f"known are {', '.join(DTYPES)}")
        for name in self.dtypes:
            if name not in DTYPES:
                raise UsageError(f"unknown element type {name!r}", hint=f"known are {', '.join(DTYPES)}")
        self._look_at_opsets()
        self._look_at_operators()

    @classmethod
    def of(cls, bounds: Mapping[str, Any]) -> Spec:
        """The bounds of those names.

        Raises:
            UsageError: A name is none of a bound, or the bounds make no sense.
        """
        known = [field.name for field in dataclasses.fields(cls)]
        if unknown := [name for name in bounds if name not in known]:
            raise UsageError(
                f"there is no bound {unknown[0]!r}",
                hint=_meant(unknown[0], known) or f"known are {', '.join(known)}",
            )
        return cls(**bounds)

    def _look_at_opsets(self) -> None:
        if len(self.opsets) != 2 or not all(isinstance(each, int) for each in self.opsets):
            raise UsageError(
                f"opsets is {self.opsets}, expected the oldest and the newest", hint=f"opsets={OPSETS}, say"
            )
        low, high = self.opsets
        if not low <= high:
            raise UsageError(f"opsets from {low} to {high} are none", hint=f"opsets=({high}, {low})")
        if low < OPSETS[0] or high > OPSETS[1]:
            raise UsageError(
                f"opsets from {low} to {high}: models are generated of {OPSETS[0]} to {OPSETS[1]}",
                hint=f"opsets={OPSETS} is all of them",
            )

    def _look_at_operators(self) -> None:
        """Name operators that are none, and bounds that together leave none."""
        for name in self.ops:
            if name not in known_operators():
                raise UsageError(
                    f"the standard has no operator {name!r}", hint=_meant(name, known_operators())
                )
        if not self.ops:
            return
        low, high = self.opsets
        present = [name for name in self.ops if exists(name, low, high)]
        if not present:
            spans = "; ".join(f"{name}: {lifetime(name)}" for name in self.ops)
            raise UsageError(
                f"none of the operators {', '.join(self.ops)} exists at opsets {low} to {high}", hint=spans
            )
        if not self.subgraphs and all(name in CONTROL_FLOW for name in present):
            raise UsageError(
                f"{', '.join(present)}: none can be made without subgraphs",
                hint="leave out subgraphs=False, or allow other operators",
            )
        if all(name == "Constant" for name in present):
            raise UsageError("ops is Constant alone, which computes nothing", hint="allow other operators")

    def allows(self, op_type: str) -> bool:
        """Whether nodes of that operator may be made."""
        if op_type in CONTROL_FLOW and not self.subgraphs:
            return False
        return not self.ops or op_type in self.ops

    def data_types(self) -> Sequence[ir.DataType]:
        """The element types."""
        return [ir.DataType[_NAMES.get(name, name.upper())] for name in self.dtypes]


def _meant(name: str, known: Collection[str]) -> str | None:
    """A hint for a name that is mistyped."""
    spelled = {each.lower(): each for each in known}
    near = difflib.get_close_matches(name.lower(), spelled, 1)
    return f"did you mean {spelled[near[0]]!r}?" if near else None
