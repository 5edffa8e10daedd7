"""One call as PyTorch ran it: the measure of what a compiled graph has to do, and of how fast."""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch

from graphopt.compile.backend.program import Program
from graphopt.errors import TraceError

MEASURING_SECONDS = 0.1
MOST_ROUNDS = 50
FEWEST_ROUNDS = 3
AGREEMENT = {torch.float16: 2e-2, torch.bfloat16: 1e-1}
"""Largest difference from PyTorch, over the largest number of an output."""
DEFAULT_AGREEMENT = 1e-3


@dataclasses.dataclass(frozen=True)
class Call:
    """One call, as PyTorch ran it.

    Attributes:
        before: Its arguments; for those that were written to, copies of what they were.
        after: Its arguments themselves.
        written: Positions of the arguments that were written to.
        result: What it returned.
    """

    before: tuple[Any, ...]
    after: tuple[Any, ...]
    written: frozenset[int]
    result: Any

    @staticmethod
    def record(eager: Callable[..., Any], args: Sequence[Any]) -> Call:
        """Make the call; parameters are not copied, since nobody writes to them but who trains."""
        copies = [
            arg.detach().clone()
            if isinstance(arg, torch.Tensor) and not isinstance(arg, torch.nn.Parameter)
            else arg
            for arg in args
        ]
        # A batch norm writes its statistics without counting, so the numbers are compared too.
        versions = [_version(arg) for arg in args]
        result = eager(*args)
        written = frozenset(
            position
            for position, (arg, copy, version) in enumerate(zip(args, copies, versions, strict=True))
            if isinstance(arg, torch.Tensor) and (_version(arg) != version or not _same(arg, copy))
        )
        before = [
            copy if position in written else arg
            for position, (arg, copy) in enumerate(zip(args, copies, strict=True))
        ]
        return Call(tuple(before), tuple(args), written, result)

    def fresh(self) -> list[Any]:
        """Arguments to make the same call with once more."""
        return [each.clone() if index in self.written else each for index, each in enumerate(self.before)]


def check_program(program: Program, call: Call) -> None:
    """Raise a TraceError where a program does not do what PyTorch did."""
    args = call.fresh()
    results = [*program(args), *(args[position] for position in sorted(call.written))]
    expected = [*call.result, *(call.after[position] for position in sorted(call.written))]
    for index, (ours, theirs) in enumerate(zip(results, expected, strict=True)):
        if reason := _difference(ours, theirs):
            raise TraceError(f"result {index} would differ: {reason}")


def _difference(ours: Any, theirs: Any) -> str:
    """How a result differs from PyTorch's by more than rounding; empty if it does not."""
    if not isinstance(theirs, torch.Tensor):
        return "" if ours == theirs else f"{ours!r}, expected {theirs!r}"
    if (ours.dtype, ours.shape) != (theirs.dtype, theirs.shape):
        return f"{ours.dtype}{list(ours.shape)}, expected {theirs.dtype}{list(theirs.shape)}"
    if not theirs.dtype.is_floating_point:
        return "" if torch.equal(ours, theirs) else "other numbers"
    mine, yours = ours.detach().double(), theirs.detach().double()
    odd = ~torch.isfinite(yours)
    if not torch.equal(torch.nan_to_num(mine[odd]), torch.nan_to_num(yours[odd])):
        return "NaN or infinity in other places"
    mine, yours = mine[~odd], yours[~odd]
    if not yours.numel():
        return ""
    error = float((mine - yours).abs().max()) / max(float(yours.abs().max()), 1e-6)
    most = AGREEMENT.get(theirs.dtype, DEFAULT_AGREEMENT)
    return "" if error <= most else f"by {error:.2g} of its largest number"


def race(eager: Callable[..., Any], program: Program, call: Call) -> float:
    """Time of a program over PyTorch's, the median of pairs of runs."""
    runners = (lambda args: eager(*args), program)
    ratios = []
    deadline = time.perf_counter() + MEASURING_SECONDS
    for done in range(MOST_ROUNDS):
        if done >= FEWEST_ROUNDS and time.perf_counter() > deadline:
            break
        seconds = [0.0, 0.0]
        for index in (0, 1) if done % 2 else (1, 0):
            args = call.fresh()
            started = time.perf_counter()
            runners[index](args)
            seconds[index] = time.perf_counter() - started
        ratios.append(seconds[1] / seconds[0])
    return statistics.median(ratios)


def _version(arg: Any) -> int | None:
    """How often a tensor was written to; None where PyTorch does not count that."""
    return None if not isinstance(arg, torch.Tensor) or arg.is_inference() else int(arg._version)


def _same(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether two tensors hold the same, NaN included."""
    return one is other or bool(((one == other) | ((one != one) & (other != other))).all())
