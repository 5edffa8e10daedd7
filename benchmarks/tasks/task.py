"""What a task is: a zoo model, data to calibrate it on, labelled data to judge it by, and the judgement.

Calibration and evaluation never share a text, a file, a photograph or a seed. Nothing here knows how a model
was quantized.
"""

from __future__ import annotations

import functools
import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
import zoo
from zoo_inputs import Arrays

Array = np.ndarray[Any, Any]
Run = Callable[[Arrays], list[Array]]
"""Runs a model: named inputs to outputs, in the model's order."""
Figures = dict[str, float]
"""What came out, by name; shares are in percent."""

Label = TypeVar("Label")
Answer = TypeVar("Answer")

CALIBRATION, EVALUATION = 1, 2
"""First part of every seed."""


class Task(ABC, Generic[Label, Answer]):
    """One model with its data.

    A task is judged by its `headline` figure, which may lie `allowance` below the float model's (in the
    figure's unit) and, where `floor` is given, not below that instead.
    """

    name: ClassVar[str]
    """The model's, in the zoo."""
    headline: ClassVar[str]
    allowance: ClassVar[float] = 0.0
    floor: ClassVar[float | None] = None
    metric: ClassVar[str]
    """Of graphopt's built-in metrics the one nearest to the headline figure."""
    recurrent: ClassVar[bool] = False
    calibration_size: ClassVar[int] = 64
    """Samples that are enough to calibrate on."""

    def path(self) -> Path:
        """The float model's file. Raises `ZooError` where it cannot be had."""
        return zoo.ZOO[self.name].path()

    def timed(self) -> tuple[Path, Arrays]:
        """The model that latencies are compared with, and the inputs they are measured on."""
        return zoo.BASELINES.get(self.name, zoo.ZOO[self.name]).path(), zoo.ZOO[self.name].inputs()[0]

    @abstractmethod
    def samples(self) -> Iterator[Arrays]:
        """Calibration inputs without end, fixed by the seed: named arrays of one run each."""

    def calibration(self, count: int) -> Iterator[Arrays]:
        """The first `count` of the calibration inputs."""
        return itertools.islice(self.samples(), count)

    @abstractmethod
    def evaluation(self) -> Iterator[tuple[Arrays, Label]]:
        """Inputs with what is known of them, fixed by the seed."""

    @abstractmethod
    def answer(self, run: Run, inputs: Arrays) -> Answer:
        """What the model's own pipeline makes of its outputs."""

    @abstractmethod
    def figures(
        self, labels: Sequence[Label], expected: Sequence[Answer], actual: Sequence[Answer]
    ) -> Figures:
        """How good answers are, beside what is known and beside the float model's answers."""

    def score(self, run: Run) -> Figures:
        """The figures of a model."""
        answers = [self.answer(run, inputs) for inputs, _ in self._evaluation]
        return self.figures([label for _, label in self._evaluation], self._expected, answers)

    @functools.cached_property
    def float_run(self) -> Run:
        """The float model."""
        return open_run(self.path())

    @functools.cached_property
    def _evaluation(self) -> list[tuple[Arrays, Label]]:
        return list(self.evaluation())

    @functools.cached_property
    def _expected(self) -> list[Answer]:
        return [self.answer(self.float_run, inputs) for inputs, _ in self._evaluation]


def open_run(model: Path | str, threads: int = 1, *, native: bool = False) -> Run:
    """A model, opened in stock onnxruntime on the CPU, or with its quantized regions in graphopt's engine."""
    import onnxruntime

    from graphopt.native import Session

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    opened = Session if native else onnxruntime.InferenceSession
    session = opened(str(model), options, providers=["CPUExecutionProvider"])

    def run(inputs: Arrays) -> list[Array]:
        outputs: list[Array] = session.run(None, inputs)
        return outputs

    return run


def share(hits: Sequence[bool]) -> float:
    """Percent that are true."""
    return 100.0 * sum(map(bool, hits)) / len(hits)


def equal(a: Sequence[Any], b: Sequence[Any]) -> float:
    """Percent of places where two lists are equal."""
    return share([one == other for one, other in zip(a, b, strict=True)])
