"""Calibration data: sets of inputs that can be gone through again and again, one in memory at a time.

Files are read when their turn comes, so that memory does not grow with their number. Nothing is run here.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import onnx_ir as ir

from graphopt.errors import DataError
from graphopt.execute.inputs import InputSet
from graphopt.execute.sizes import required_inputs
from graphopt.execute.userdata import fit_inputs, load_inputs

Arrays: TypeAlias = Mapping[str, Any]
Source: TypeAlias = (
    str | os.PathLike[str] | Arrays | Iterable[Arrays | Any] | Callable[[], Iterable[Arrays | Any]]
)

DATA_KEY = "graphopt.calibration"
"""Under it a model's `meta` may hold sets of inputs, in any form that `Samples` takes."""
PROGRESS_KEY = "graphopt.progress"
"""Under it a model's `meta` may hold a function that is told how many runs are done, of how many."""


_BATCH = re.compile(r"n|b|bs|.*batch.*", re.IGNORECASE)
"""What exporters call the axis along which a model takes any number of samples."""
_IMAGES = 4
"""From so many dimensions on the first one is that axis, whatever it is called."""


class Sample(dict[str, Any]):
    """A set of inputs, an array by input name, of the user's.

    Attributes:
        name: What to call it: its number, and the file it was read from.
    """

    def __init__(self, values: Arrays, name: str) -> None:
        super().__init__(values)
        self.name = name


class Samples:
    """Sets of inputs for a model, each an array by input name.

    Args:
        source: A folder of .npz, one .npz or .npy, arrays by input name, an iterable of those (or of arrays,
            where the model has one input, like a DataLoader), or a function that returns one. What can be
            gone through only once, as a generator, is written to a temporary folder on the way.
        model: Its inputs must take each set. One file may hold many samples: arrays with a leading dimension
            more than the input has, or a longer one than it takes, or a batch of any size (called so, or
            the first axis of images), are cut along it.

    Raises:
        DataError: There is no sample, or one does not fit or holds NaN; also while they are gone through.

    Infinities are let through: in a mask they mean something. Who runs on them finds out if they do harm.
    """

    def __init__(self, source: Source, model: ir.Model) -> None:
        self._names = [value.name or "" for value in required_inputs(model)]
        self._model = model
        self._renamed: dict[str, str] = {}
        self._from_file = isinstance(source, (str, os.PathLike)) and Path(source).is_file()
        self._parts = self._opened(source)
        self._length: int | None = None
        if next(iter(self), None) is None:
            raise DataError("the calibration data hold no sample")

    def __iter__(self) -> Iterator[Sample]:
        count = 0
        for part in self._parts():
            origin = f" ({part.description})" if isinstance(part, InputSet) else ""
            for values in self._cut(part):
                count += 1
                yield (
                    values if isinstance(values, Sample) else self._fitted(values, f"sample {count}{origin}")
                )
        self._length = count

    def __len__(self) -> int:
        if self._length is None:
            self._length = sum(1 for _ in self)
        return self._length

    @property
    def notes(self) -> list[str]:
        """What a user should know of the samples gone through so far."""
        found = [
            f"the calibration data call the input {wanted!r} {given!r}: taken for it, as the only one"
            for given, wanted in self._renamed.items()
        ]
        if self._length == 1:
            found.append(
                "the calibration data hold one sample only: what accuracy is told on is calibrated on"
            )
        return found

    @property
    def first(self) -> InputSet:
        """The first sample, as a set of inputs to run or measure with."""
        return InputSet(next(iter(self)), description="calibration data")

    def split(self, every: int) -> tuple[Iterable[dict[str, Any]], Iterable[dict[str, Any]]]:
        """Two parts without a sample in common: all but every `every`-th, and those.

        Of fewer than twice as many samples both parts hold all.
        """
        if len(self) < 2 * every:
            return self, self
        return Part(self, every, taken=False), Part(self, every, taken=True)

    def _fitted(self, values: dict[str, Any], name: str) -> Sample:
        """A sample under the names of the model's inputs, checked."""
        sample = Sample(fit_inputs(self._model, [InputSet(values, description=name)])[0].values, name)
        if len(sample) == 1 and sample.keys() != values.keys():
            self._renamed.update(zip(values, sample, strict=True))
        for each, value in sample.items():
            if any(_holds_nan(array) for array in (value if isinstance(value, list) else [value])):
                raise DataError(
                    f"input {each!r} of {name} holds NaN",
                    hint="neither ranges nor accuracy can be told from it: mend the sample, or leave it out",
                )
        return sample

    def _opened(self, source: Source) -> Callable[[], Iterable[Any]]:
        if isinstance(source, (str, os.PathLike)):
            return _files(Path(source), self._names)
        if isinstance(source, Mapping):
            return lambda: [source]
        if callable(source):
            return source
        if iter(source) is source:
            return self._spooled(source)
        return lambda: source

    def _spooled(self, source: Iterator[Any]) -> Callable[[], Iterable[Any]]:
        folder = tempfile.mkdtemp(prefix="graphopt-samples-")
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        files = []
        for index, part in enumerate(source):
            files.append(Path(folder) / f"{index}.npz")
            np.savez(files[-1], **self._named(part))
        return lambda: (load_inputs(file)[0].values for file in files)

    def _named(self, part: Any) -> dict[str, Any]:
        """The arrays by name: a bare array, or a tuple that begins with one, is the model's first input."""
        if isinstance(part, InputSet):
            part = part.values
        if isinstance(part, Mapping):
            return {name: _array(value) for name, value in part.items()}
        if isinstance(part, (tuple, list)):
            if len(part) < len(self._names):
                raise DataError(
                    f"a sample holds {len(part)} arrays, and the model has {len(self._names)} inputs",
                    hint=f"give a mapping by input name: {', '.join(self._names)}",
                )
            return dict(zip(self._names, map(_array, part), strict=False))
        if len(self._names) != 1:
            raise DataError(
                f"a sample is {type(part).__name__}, and the model has {len(self._names)} inputs",
                hint=f"give a mapping by input name: {', '.join(self._names)}",
            )
        return {self._names[0]: _array(part)}

    def _cut(self, part: Any) -> Iterator[dict[str, Any]]:
        """One sample, or those that lie along the first axis of every array; scalars belong to all."""
        if isinstance(part, Sample):
            yield part
            return
        values = self._named(part)
        stacked = {name for name, array in values.items() if np.ndim(array)}
        counts = {len(values[name]) for name in stacked}
        if isinstance(part, InputSet) and counts == {0}:
            return  # a file without samples; of a program, a set without elements is one
        batched = self._from_file and len(counts) == 1 and self._is_batch(stacked)
        if self._fits(values) and not batched:
            yield values
            return
        for kept in (False, True):  # a batch of one is a sample, too
            if len(counts) != 1 or 0 in counts:
                break
            rows = _rows(values, stacked, counts.copy().pop(), kept=kept)
            first = next(rows)
            if self._fits(first):
                yield from (first, *rows)
                return
        yield values  # who fits it to the model says what is wrong

    def _is_batch(self, names: set[str]) -> bool:
        """Whether the first axis of inputs is a batch of any size, of samples that a file holds."""
        shapes = [value.shape for value in self._model.graph.inputs if value.name in names]
        dims = {shape[0] if shape is not None and len(shape) else 1 for shape in shapes}
        (dim,) = dims if len(dims) == 1 and len(shapes) == len(names) else (1,)
        if isinstance(dim, int):
            return False
        images = all(shape is not None and len(shape) >= _IMAGES for shape in shapes)
        return images or bool(_BATCH.fullmatch(dim.value or ""))

    def _fits(self, values: Mapping[str, Any]) -> bool:
        try:
            fit_inputs(self._model, [InputSet(dict(values))])
        except DataError:
            return False
        return True


def samples_for(model: ir.Model, data: str = "") -> Samples | None:
    """The samples that a pass runs a model on: of data that are named, else those handed over with the model.

    Args:
        model: Its `meta` may hold samples under `DATA_KEY`.
        data: A folder or file of sets of inputs; "" for none.

    Returns:
        None where there are neither.

    Raises:
        DataError: There is no sample in them, or one does not fit the model or holds NaN.
    """
    source = data or model.meta.get(DATA_KEY)
    return source if source is None or isinstance(source, Samples) else Samples(source, model)


class Part:
    """Every so-manieth of some samples, or all others, again and again."""

    def __init__(self, samples: Samples, every: int, *, taken: bool) -> None:
        self._samples, self._every, self._taken = samples, every, taken

    def __len__(self) -> int:
        taken = len(self._samples) // self._every
        return taken if self._taken else len(self._samples) - taken

    def __iter__(self) -> Iterator[Sample]:
        for index, values in enumerate(self._samples):
            if (index % self._every == self._every - 1) == self._taken:
                yield values


def _rows(values: Arrays, stacked: set[str], count: int, *, kept: bool) -> Iterator[dict[str, Any]]:
    """Arrays cut along their first axis, which each row keeps with size 1 or loses."""
    for index in range(count):
        where = slice(index, index + 1) if kept else index
        yield {name: array[where] if name in stacked else array for name, array in values.items()}


def _array(value: Any) -> Any:
    """An array of what may be a tensor of PyTorch; sequences and absent optionals stay what they are."""
    if value is None or isinstance(value, list):
        return value
    return np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)


def _holds_nan(value: Any) -> bool:
    """Whether floats of any width hold NaN; those that numpy does not know are of kind V."""
    array = np.asarray(value)
    is_float = array.dtype.kind in "fc" or array.dtype.name.startswith(("bfloat", "float"))
    return is_float and bool(np.isnan(array).any())


def _files(path: Path, names: list[str]) -> Callable[[], Iterator[Any]]:
    """Reads a folder's files in turn; .npy files that are named as inputs are one sample together."""
    if not path.is_dir() or list(path.glob("input_*.pb")):
        if path.suffix == ".npy":  # what the file is called says nothing of inputs
            return lambda: (next(iter(one.values.values())) for one in load_inputs(path))
        return lambda: iter(load_inputs(path))
    for pattern in ("test_data_set_*", "*.npz"):
        if found := sorted(path.glob(pattern)):
            return lambda: (one for each in found for one in load_inputs(each))
    if (found := sorted(path.glob("*.npy"))) and {each.stem for each in found} == set(names):
        return lambda: iter(load_inputs(path))
    if found:
        return lambda: (array for each in found for array in load_inputs(each)[0].values.values())
    raise DataError(
        f"there are no calibration data in {path}",
        hint="expected .npz files with an array per input, .npy files, or test_data_set_* folders",
    )
