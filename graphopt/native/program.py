"""Programs: operators on values, run in one arena by graphopt's own engine, in C++.

Says in graphopt's terms what the engine says of files and arrays; computes nothing itself. Programs come from
`ProgramBuilder` or from a file, never from a model: that is `graphopt.native.lower`'s job.
"""

from __future__ import annotations

import operator
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from graphopt._native import Program as BuiltProgram
from graphopt._native import ProgramBuilder
from graphopt.errors import DataError, LoadError, SaveError
from graphopt.native.instruction_set import instruction_set

__all__ = ["Array", "Port", "Program", "ProgramBuilder", "StepDemand", "StepProfile"]

Array: TypeAlias = npt.NDArray[Any]
Shape: TypeAlias = "Sequence[int]"

_DTYPES: dict[str, np.dtype[Any]] = {
    "f32": np.dtype(np.float32),
    "u8": np.dtype(np.uint8),
    "s8": np.dtype(np.int8),
    "s32": np.dtype(np.int32),
    "s64": np.dtype(np.int64),
    "bool": np.dtype(np.bool_),
}


@dataclass(frozen=True)
class Port:
    """An input of a program.

    Args:
        name: Its name.
        dtype: Of its elements.
        shape: A size for each axis, or a name: axes of one name have one size in a run.
    """

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int | str, ...]


@dataclass(frozen=True)
class StepProfile:
    """What a step of a program does, for inputs of given shapes.

    Args:
        name: Of the node it comes from; may be empty.
        kind: Of operator.
        runs: Whether there is anything to do: not where memory that is shared says it all.
        in_place: Whether its output overwrites an input.
        inputs: Shapes.
        outputs: Shapes.
        seconds: The mean of its runs.
    """

    name: str
    kind: str
    runs: bool
    in_place: bool
    inputs: tuple[tuple[int, ...], ...]
    outputs: tuple[tuple[int, ...], ...]
    seconds: float


@dataclass(frozen=True)
class StepDemand:
    """What a step of a program asks of a machine, for inputs of given shapes.

    Args:
        name: Of the node it comes from; may be empty.
        kind: Of operator.
        runs: Whether there is anything to do.
        inputs: Shapes.
        outputs: Shapes.
        bytes_read: Of its inputs.
        bytes_written: Of its outputs.
        constant_bytes: Of its own constants.
        weights: Their shape; empty where it has none.
    """

    name: str
    kind: str
    runs: bool
    inputs: tuple[tuple[int, ...], ...]
    outputs: tuple[tuple[int, ...], ...]
    bytes_read: int
    bytes_written: int
    constant_bytes: int
    weights: tuple[int, ...]


class Program:
    """A program. Any number of threads may run it at a time."""

    def __init__(self, built: BuiltProgram) -> None:
        self._built = built
        self.inputs = tuple(Port(name, _DTYPES[dtype], tuple(shape)) for name, dtype, shape in built.inputs)
        self.outputs = tuple(built.outputs)

    def run(self, inputs: Mapping[str, Array] | Sequence[Array], threads: int = 1) -> list[Array]:
        """Compute the outputs, the same bits for every number of threads.

        The first run for inputs of some shapes plans its memory; what was planned for the last ones is kept.

        Args:
            inputs: By name, or in the program's order; of the very dtypes it takes.
            threads: To share the work out to, the caller's included; 0 for one a processor.

        Raises:
            DataError: The inputs are not what the program takes.
            MemoryError: There is not enough memory for them.
            TypeError: `threads` is no whole number.
        """
        try:
            return self._built.run(self._in_order(inputs), operator.index(threads))
        except ValueError as error:
            raise self._misfit(error) from error

    def reference(self, inputs: Mapping[str, Array] | Sequence[Array]) -> list[Array]:
        """Compute the outputs by plain references of the operators: slowly, to the very bits of `run`.

        Raises:
            DataError: The inputs are not what the program takes.
        """
        try:
            return self._built.reference(self._in_order(inputs))
        except ValueError as error:
            raise self._misfit(error) from error

    def profile(
        self, inputs: Mapping[str, Array] | Sequence[Array], threads: int = 1, repeats: int = 10
    ) -> list[StepProfile]:
        """Time each step, over `repeats` runs after a first that is not counted.

        Raises:
            DataError: The inputs are not what the program takes, or there is nothing to repeat.
        """
        if repeats < 1:
            raise DataError(f"a profile of {repeats} runs", hint="repeat at least once")
        arrays = self._in_order(inputs)
        try:
            self._built.run(arrays, operator.index(threads))
            seconds = self._built.profile(arrays, threads, repeats)
            facts = self._built.steps([list(array.shape) for array in arrays])
        except ValueError as error:
            raise self._misfit(error) from error
        return [
            StepProfile(name, kind, runs, in_place, _tuples(given), _tuples(made), each)
            for (name, kind, runs, in_place, given, made), each in zip(facts, seconds, strict=True)
        ]

    def arena(self, shapes: Mapping[str, Shape] | Sequence[Shape] | None = None) -> int:
        """Bytes that a run needs besides its inputs, its outputs and the program's constants.

        Args:
            shapes: Of the inputs, by name or in order; None where the program leaves none open.

        Raises:
            DataError: The inputs cannot have these shapes.
        """
        try:
            return self._built.arena(self._shapes_in_order(shapes))
        except ValueError as error:
            raise self._misfit(error) from error

    def demands(self, shapes: Mapping[str, Shape] | Sequence[Shape] | None = None) -> list[StepDemand]:
        """What each step asks of a machine.

        Args:
            shapes: Of the inputs, by name or in order; None where the program leaves none open.

        Raises:
            DataError: The inputs cannot have these shapes.
        """
        sizes = self._shapes_in_order(shapes)
        try:
            facts, asked = self._built.steps(sizes), self._built.demands(sizes)
        except ValueError as error:
            raise self._misfit(error) from error
        return [
            StepDemand(
                name, kind, runs, _tuples(given), _tuples(made), read, written, constant, tuple(weights)
            )
            for (name, kind, runs, _, given, made), (read, written, constant, weights) in zip(
                facts, asked, strict=True
            )
        ]

    @property
    def held(self) -> int:
        """Bytes of the arenas that runs have taken so far: as many as there were runs at a time."""
        return self._built.held

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the program to a file.

        Raises:
            SaveError: It cannot be written.
        """
        try:
            Path(path).write_bytes(self.to_bytes())
        except OSError as error:
            raise SaveError(
                f"{path}: {error.strerror or error}", hint="is the folder there, and writable?"
            ) from error

    def to_bytes(self) -> bytes:
        """The program as a file holds it."""
        return self._built.save()

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Program:
        """Read a program from a file that `save` wrote.

        Raises:
            LoadError: The file cannot be read, is damaged, of another version, or no program.
        """
        try:
            data = Path(path).read_bytes()
        except OSError as error:
            raise LoadError(f"{path}: {error.strerror or error}", hint="is this the right path?") from error
        return cls.from_bytes(data, str(path))

    @classmethod
    def from_bytes(cls, data: bytes, origin: str = "these bytes") -> Program:
        """Read a program from what `to_bytes` gave.

        Args:
            data: The bytes.
            origin: Where they come from, for messages.

        Raises:
            LoadError: They are damaged, of another version, or no program.
            UsageError: `GRAPHOPT_ISA` names no instruction set.
        """
        instruction_set()
        try:
            return cls(BuiltProgram.load(data))
        except (ValueError, MemoryError) as error:
            raise LoadError(
                f"{origin}: {error or 'not enough memory'}", hint="compile the model again with this graphopt"
            ) from error

    def _in_order(self, inputs: Mapping[str, Array] | Sequence[Array]) -> list[Array]:
        if not isinstance(inputs, Mapping):
            arrays = list(inputs)
        else:
            unknown = sorted(inputs.keys() - {port.name for port in self.inputs})
            missing = [port.name for port in self.inputs if port.name not in inputs]
            if unknown or missing:
                raise DataError(
                    f"the program has no input {unknown[0]!r}"
                    if unknown
                    else f"input {missing[0]!r} is missing",
                    hint=self._signature(),
                )
            arrays = [inputs[port.name] for port in self.inputs]
        for port, array in zip(self.inputs, arrays, strict=False):
            if not isinstance(array, np.ndarray):
                raise DataError(
                    f"input {port.name!r} is no array, but of type {type(array).__name__}",
                    hint=self._signature(),
                )
            if array.dtype != port.dtype:
                raise DataError(
                    f"input {port.name!r} is of {array.dtype}, not {port.dtype}", hint=self._signature()
                )
        return [np.ascontiguousarray(array).reshape(array.shape) for array in arrays]

    def _shapes_in_order(self, shapes: Mapping[str, Shape] | Sequence[Shape] | None) -> list[list[int]]:
        if shapes is None:
            open_axes = [axis for port in self.inputs for axis in port.shape if isinstance(axis, str)]
            if open_axes:
                raise DataError(f"axis {open_axes[0]!r} has no size", hint="give the shapes of the inputs")
            return [[int(axis) for axis in port.shape] for port in self.inputs]
        if not isinstance(shapes, Mapping):
            return [_sizes(shape) for shape in shapes]
        unknown = sorted(shapes.keys() - {port.name for port in self.inputs})
        if unknown:
            raise DataError(f"the program has no input {unknown[0]!r}", hint=self._signature())
        missing = [port.name for port in self.inputs if port.name not in shapes]
        if missing:
            raise DataError(f"the shape of input {missing[0]!r} is missing", hint=self._signature())
        return [_sizes(shapes[port.name]) for port in self.inputs]

    def _misfit(self, error: ValueError) -> DataError:
        return DataError(str(error), hint=self._signature())

    def _signature(self) -> str:
        ports = ", ".join(
            f"{port.name}: {port.dtype}[{', '.join(map(str, port.shape))}]" for port in self.inputs
        )
        return f"the program takes {ports or 'no inputs'}"


def _sizes(shape: Shape) -> list[int]:
    return [operator.index(size) for size in shape]


def _tuples(shapes: Sequence[Sequence[int]]) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(shape) for shape in shapes)
