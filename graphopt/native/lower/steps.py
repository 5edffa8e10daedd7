"""A program before it is built: values and the steps that compute them, as objects that can be rewritten.

`build` turns the steps that the outputs need into a program. Knows nothing of ONNX.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Dim = int | str | None
"""A size; or the name of one that is known when the program runs; or one that nothing is known of."""
Dims = tuple[Dim, ...]

NUMPY: Mapping[str, np.dtype[Any]] = {
    "f32": np.dtype(np.float32),
    "u8": np.dtype(np.uint8),
    "s8": np.dtype(np.int8),
    "s32": np.dtype(np.int32),
    "s64": np.dtype(np.int64),
    "bool": np.dtype(np.bool_),
}
"""Element types of programs and what numpy calls them."""
NAMES = {dtype: name for name, dtype in NUMPY.items()}

_COMPARED_BYTES = 4096


@dataclass(frozen=True, eq=False)
class Value:
    """An array of a program.

    Attributes:
        type: Of its elements, a key of `NUMPY`.
        dims: Sizes in the order in which it lies in memory.
        array: Its elements if it is a constant.
        name: If it is an input.
    """

    type: str
    dims: Dims
    array: Array | None = None
    name: str = ""


@dataclass(eq=False)
class Step:
    """An operator of a program at work on values.

    Attributes:
        kind: Of the operator.
        inputs: What it reads.
        attributes: As the operator takes them.
        output: What it computes.
        name: Of the node it comes from.
    """

    kind: str
    inputs: list[Value]
    attributes: dict[str, Any]
    output: Value
    name: str = ""


@dataclass
class Steps:
    """Steps in an order in which they can run, and the values that come out.

    Attributes:
        inputs: In the order of the program's inputs.
        steps: Each reads inputs, constants and what earlier ones compute.
        outputs: By name.
    """

    inputs: list[Value] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    outputs: dict[str, Value] = field(default_factory=dict)
    _known: dict[object, Value] = field(default_factory=dict)
    _sizes: set[Value] = field(default_factory=set)

    def add(
        self,
        kind: str,
        inputs: Sequence[Value],
        attributes: Mapping[str, Any],
        type: str,
        dims: Iterable[Dim],
        name: str = "",
    ) -> Value:
        """What the operator computes of `inputs`: by a new step, unless one computes the same."""
        key = (
            kind,
            tuple(map(id, inputs)),
            tuple(sorted((key, _key(item)) for key, item in attributes.items())),
        )
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = Value(type, tuple(dims))
            self.steps.append(Step(kind, list(inputs), dict(attributes), known, name))
            if kind == "shape" or (inputs and all(map(self.is_of_sizes, inputs))):
                self._sizes.add(known)
        return known

    def is_of_sizes(self, value: Value) -> bool:
        """Whether a value is computed of nothing but sizes and constants: then it is known before a run."""
        return value.array is not None or value in self._sizes

    def input(self, name: str, type: str, dims: Iterable[Dim]) -> Value:
        """A new input."""
        value = Value(type, tuple(dims), name=name)
        self.inputs.append(value)
        return value

    def constant(self, array: Array) -> Value:
        """A constant of these elements."""
        key = ("constant", _key(array))
        if key not in self._known:
            self._known[key] = Value(NAMES[array.dtype], array.shape, array=np.asarray(array, order="C"))
        return self._known[key]

    def uses(self) -> dict[Value, list[Step]]:
        """The steps that read each value, one that reads it twice twice."""
        found: dict[Value, list[Step]] = {}
        for step in self.steps:
            for value in step.inputs:
                found.setdefault(value, []).append(step)
        return found

    def drop_dead(self) -> None:
        """Drop the steps that no output needs."""
        needed = set(self.outputs.values())
        kept = []
        for step in reversed(self.steps):
            if step.output in needed:
                kept.append(step)
                needed.update(step.inputs)
        self.steps = kept[::-1]


def _key(item: Any) -> object:
    if isinstance(item, np.ndarray):
        # Large ones are equal only if they are one: comparing weights would cost more than it finds.
        return (item.dtype.str, item.shape, item.tobytes() if item.nbytes <= _COMPARED_BYTES else id(item))
    if isinstance(item, list):
        return tuple(item)
    return (type(item), item)
