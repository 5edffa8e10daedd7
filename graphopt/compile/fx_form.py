"""The optimized graph as a trainable PyTorch module: made, compared with the original, measured in PyTorch.

Imported only where that form is asked for. It chooses among candidates and rewrites nothing.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import onnx_ir as ir
import torch
from torch.utils import _pytree as pytree

from graphopt.compile.candidates import Made, Stages, Workshop
from graphopt.compile.given import Given
from graphopt.execute import BenchResult, CheckResult, InputSet, make_inputs
from graphopt.pipeline import Pipeline
from graphopt.pytorch import to_fx
from graphopt.pytorch.arrays import to_numpy, to_tensor
from graphopt.pytorch.signature import SIGNATURE_KEY, Signature

ROUNDS = 40
FEWEST_ROUNDS = 3
SECONDS = 1.0
"""Time to measure a module for, beyond the fewest rounds."""
MARGIN = 1.05
"""A module slower than this is not emitted: below, PyTorch's own times vary as much."""

Call = Callable[[Mapping[str, torch.Tensor]], Any]


@dataclasses.dataclass
class Emitted:
    """The module to hand out.

    Attributes:
        module: In eval mode.
        made: The candidate it was made from.
        check: Its outputs against the original's; None if that was not asked for.
        bench: Latencies in PyTorch: the original's first, then the module's; None if not measured.
        notes: What a user should know.
    """

    module: torch.fx.GraphModule
    made: Made
    check: CheckResult | None
    bench: BenchResult | None = None
    notes: list[str] = dataclasses.field(default_factory=list)


def emit_module(
    workshop: Workshop,
    made: Made,
    fallbacks: Mapping[str, Pipeline],
    *,
    given: Given,
    inputs: Sequence[InputSet] | None,
    measure: bool,
    threads: int,
    stages: Stages,
) -> Emitted:
    """Turn a candidate into a module; where that is wrong or slower in PyTorch, one that does less.

    Args:
        workshop: Makes further candidates and judges them.
        made: What was asked for.
        fallbacks: Pipelines that do less, by name, best first.
        given: The model as it came.
        inputs: Data to measure with where no module was given; made to fit the model if None.
        measure: Whether to compare latencies in PyTorch.
        threads: Threads of PyTorch meanwhile.
        stages: Where time is accounted for.

    Raises:
        TranslationError: Not even the model as it came has a form in PyTorch.
    """
    notes: list[str] = []
    race = None
    if measure and given.signature is not None and given.signature.state:
        notes.append("not measured, since forward writes to its state")
    elif measure and not workshop.unchanged(made):
        race = _race(given, inputs)
    candidates: list[Callable[[], Made]] = [lambda: made]
    candidates += [partial(workshop.make, *each) for each in fallbacks.items()]
    for make in [*candidates, workshop.as_it_came]:
        emitted = _emit(workshop, make(), given.signature, stages)
        if race is not None and _is_right(emitted):
            with stages("measure"), _threads(threads):
                race.run(emitted)
        fault = _fault(emitted)
        if not fault or workshop.unchanged(emitted.made):
            break
        notes.append(f"{emitted.made.name} {fault}")
    if emitted.made is not made:
        notes.append(f"emitted {emitted.made.name}")
    emitted.notes = notes
    return emitted


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Let PyTorch compute with so many threads for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _is_right(emitted: Emitted) -> bool:
    return emitted.check is None or emitted.check.equal or not emitted.check.ran


def _fault(emitted: Emitted) -> str:
    """Why a module should not be handed out; empty if it may."""
    if not _is_right(emitted):
        return f"differs in PyTorch: {emitted.check.reason if emitted.check else ''}"
    ratio = 1.0 if emitted.bench is None else emitted.bench.ratio(1).median
    return f"measured {ratio:.2f}x the original's time in PyTorch" if ratio > MARGIN else ""


def _emit(workshop: Workshop, made: Made, signature: Signature | None, stages: Stages) -> Emitted:
    if signature is not None:
        made.model.meta[SIGNATURE_KEY] = signature
    with stages("emit"):
        module = to_fx(made.model)
    check = made.check
    if check is not None and check.ran:
        with stages("check"), torch.no_grad():
            check = workshop.judge(_computer(module, made.model, signature))
    return Emitted(module, made, check)


class _Race:
    """Measures modules against the original, in turns.

    Args:
        original: Runs the original once.
        inputs: What it runs on.
        signature: How the modules stand for the original, if that is a module too.
    """

    def __init__(
        self, original: Callable[[], Any], inputs: InputSet, signature: Signature | None = None
    ) -> None:
        self._original = original
        self._inputs = inputs
        self._signature = signature

    def run(self, emitted: Emitted) -> None:
        """Measure a module and note it there."""
        call = _caller(emitted.module, emitted.made.model, self._signature)
        tensors = _tensors(self._inputs)
        runners = (self._original, lambda: call(tensors))
        seconds: list[list[float]] = [[], []]
        with torch.no_grad():
            for runner in runners:
                runner()
            deadline = time.perf_counter() + SECONDS
            for done in range(ROUNDS):
                if done >= FEWEST_ROUNDS and time.perf_counter() > deadline:
                    break
                for index in (0, 1) if done % 2 else (1, 0):
                    started = time.perf_counter()
                    runners[index]()
                    seconds[index].append(time.perf_counter() - started)
        notes = ["measured in PyTorch"]
        emitted.bench = BenchResult(seconds, self._inputs, threads=torch.get_num_threads(), notes=notes)


def _race(given: Given, inputs: Sequence[InputSet] | None) -> _Race:
    """The original to measure against: the module itself, or else what becomes of the model as it came."""
    if given.call is not None:
        return _Race(given.call, given.examples[0], given.signature)
    chosen = inputs[0] if inputs else make_inputs(given.model, representative=True)[0]
    call = _caller(to_fx(given.model), given.model, None)
    tensors = _tensors(chosen)
    return _Race(lambda: call(tensors), chosen)


def _tensors(inputs: InputSet) -> dict[str, torch.Tensor]:
    return {name: to_tensor(value) for name, value in inputs.values.items()}


def _caller(module: torch.nn.Module, model: ir.Model, signature: Signature | None) -> Call:
    """Call a graph module with tensors by the names of the model's inputs."""
    names = [value.name or "" for value in model.graph.inputs]

    def call(tensors: Mapping[str, torch.Tensor]) -> Any:
        if signature is None:
            return module(*(tensors[name] for name in names if name in tensors))
        leaves = [leaf.constant if leaf.name is None else tensors[leaf.name] for leaf in signature.inputs]
        args, kwargs = pytree.tree_unflatten(leaves, signature.input_spec)
        return module(*args, **kwargs)

    return call


def _computer(
    module: torch.nn.Module, model: ir.Model, signature: Signature | None
) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """Compute a graph module's outputs, state among them, from arrays; its buffers are put back."""
    call = _caller(module, model, signature)
    names = [value.name or "" for value in model.graph.outputs]

    def compute(values: Mapping[str, Any]) -> dict[str, Any]:
        tensors = {name: to_tensor(value).clone() for name, value in values.items()}
        before = {name: buffer.clone() for name, buffer in module.named_buffers()}
        result = call(tensors)
        if signature is None:
            found = dict(zip(names, result if isinstance(result, tuple) else (result,), strict=True))
        else:
            found = signature.flatten_result(result)
            for after, state in signature.state.items():
                found[after] = tensors[state] if state in tensors else module.get_buffer(state)
        arrays = {name: to_numpy(value.clone()) for name, value in found.items()}
        for name, buffer in before.items():
            module.get_buffer(name).copy_(buffer)
        return arrays

    return compute
