"""Module -> ONNX -> torch.fx -> ONNX: how far each stage is from the first, over the networks and the zoo.

    python benchmarks/round_trips.py [--small] [--only networks|zoo] [NAME...]

Networks go round with fixed and free sizes, in float32 and float16; models of the zoo as they are and as
`-O2` leaves them. Free sizes are also run at other sizes than the traced. Prints a line for each; a run of
everything writes `results/round_trips.json`. Exits 1 where a figure is beyond its bound.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import networks
import numpy as np
import onnx_ir as ir
import torch
import zoo
from torch import nn
from torch.utils import _pytree as pytree
from zoo_inputs import Arrays
from zoo_wheels import ZooError

import graphopt
from graphopt.execute import Session
from graphopt.execute.check import NOISE_FACTOR
from graphopt.execute.conditioning import rounding_noise
from graphopt.ir import constant
from graphopt.passes.cleanup.freeze_initializers import FreezeInitializers
from graphopt.pytorch import to_fx, trace

RESULTS = Path(__file__).resolve().parent / "results" / "round_trips.json"

TOLERANCE = 1e-5
"""Bound of float32, relative to the element or the output's root mean square, whichever is larger; of a model
of the zoo at least NOISE_FACTOR times what rounding alone does to it in onnxruntime."""
HALF_ULPS = 2
"""Bound of float16 in units of its last place, where the module's own rounding is smaller still."""
HALF_FACTOR = 2.0
"""How many times further than the module itself, run in float16, a stage may be from float32."""

SWITCHES = {"silero-vad": "sr"}
"""Inputs that choose a branch."""

VARIANTS = {"as it is": None, "-O2 portable": "portable", "-O2 ort-cpu": "ort-cpu"}

Outputs = list[np.ndarray[Any, Any]]


@dataclass
class Trip:
    """What became of one model on its way round.

    Attributes:
        model: Its name.
        variant: Precision and sizes of a network; what was done to a model of the zoo beforehand.
        bound: Largest error allowed.
        errors: Stage -> largest relative error at any of the sizes, in the order of the stages.
        failure: Why there are no more stages; "" if all were reached.
    """

    model: str
    variant: str
    bound: float = TOLERANCE
    errors: dict[str, float] = field(default_factory=dict)
    failure: str = ""

    @property
    def good(self) -> bool:
        """All stages were reached and none is beyond the bound."""
        return not self.failure and all(error <= self.bound for error in self.errors.values())

    def stage(self, name: str, run: Callable[[Any], Outputs], feeds: Sequence[Any], expected: Any) -> None:
        """Run a stage on each feed and note its error."""
        self.errors[name] = max(
            relative_error(wanted, run(feed)) for wanted, feed in zip(expected, feeds, strict=True)
        )

    def __str__(self) -> str:
        figures = "  ".join(f"{stage} {error:.1e}" for stage, error in self.errors.items())
        verdict = "" if self.good else self.failure or "BEYOND"
        return f"{self.model:20} {self.variant:18} (<= {self.bound:.1e})  {figures}  {verdict}".rstrip()


def relative_error(expected: Outputs, actual: Outputs) -> float:
    """Largest |a - e| / max(|e|, rms(e)) over the elements of all outputs.

    Infinite where shapes differ, where one is NaN or infinite and the other is not, and where integers,
    booleans or texts differ at all.
    """
    if len(expected) != len(actual):
        return math.inf
    return max((_error(e, a) for e, a in zip(expected, actual, strict=True)), default=0.0)


def _error(expected: np.ndarray[Any, Any], actual: np.ndarray[Any, Any]) -> float:
    """Of one output; float16 may stand where float32 is expected."""
    if expected.shape != actual.shape or expected.dtype.kind != actual.dtype.kind:
        return math.inf
    if expected.dtype.kind != "f":
        return 0.0 if np.array_equal(expected, actual) else math.inf
    e, a = expected.astype(np.float64), actual.astype(np.float64)
    finite = np.isfinite(e)
    if not np.array_equal(e[~finite], a[~finite], equal_nan=True) or not np.isfinite(a[finite]).all():
        return math.inf
    e, a = e[finite], a[finite]
    if not e.size:
        return 0.0
    return float(np.max(np.abs(a - e) / np.maximum(np.abs(e), _root_mean_square(e))))


def run_module(
    module: nn.Module, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
) -> Outputs:
    """The leaves of what a module returns."""
    with torch.no_grad():
        leaves = pytree.tree_leaves(module(*args, **(kwargs or {})))
    return [leaf.numpy() for leaf in leaves]


def run_model(session: Session, arrays: Mapping[str, Any]) -> Outputs:
    """The outputs of a graph, as onnxruntime computes them without optimizing it.

    Args:
        session: Of the graph.
        arrays: The inputs in the graph's order, whatever their names.
    """
    feed = dict(zip(session.input_names, arrays.values(), strict=True))
    return list(session.run(feed).values())


def network_trip(trip: Trip, case: networks.Case, dtype: torch.dtype, dynamic: bool) -> None:
    """One network round, in one precision, with free or fixed sizes."""
    module = case.module(dtype)
    feeds = [case.inputs(index, dtype) for index in range(len(case.sizes) if dynamic else 1)]
    arrays = [{name: each.numpy() for name, each in feed.items()} for feed in feeds]
    expected = [run_module(case.module(dtype).float(), kwargs=_wide(feed)) for feed in feeds]
    if dtype == torch.float16:
        trip.stage("module", lambda feed: run_module(module, kwargs=feed), feeds, expected)
        own = HALF_FACTOR * trip.errors["module"]
        trip.bound = max(own, HALF_ULPS * float(np.finfo(np.float16).eps))
    free = dict(case.dynamic_shapes) if dynamic else None

    model = trace(module, feeds[0], free)
    first = Session(model)
    trip.stage("onnx", lambda feed: run_model(first, feed), arrays, expected)
    graph = to_fx(model)
    trip.stage("fx", lambda feed: run_module(graph, tuple(feed.values())), feeds, expected)
    again = Session(trace(graph, tuple(feeds[0].values()), tuple(free.values()) if free else None))
    trip.stage("onnx again", lambda feed: run_model(again, feed), arrays, expected)


def _wide(feed: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: each.float() if each.is_floating_point() else each for name, each in feed.items()}


def zoo_trip(trip: Trip, model: ir.Model, feeds: Sequence[Arrays]) -> None:
    """One model of the zoo round, after what the trip's variant says was done to it.

    Args:
        trip: Its variant is a key of VARIANTS.
        model: As the zoo has it, or as `prepared` makes it.
        feeds: Named inputs; dimensions in which they differ are free in the second trace.
    """
    target = VARIANTS[trip.variant]
    if target is not None:
        model = graphopt.optimize(model, target=target, inputs=feeds[0], measure=False).model
    first = Session(model)
    feeds = [{name: feed[name] for name in first.input_names} for feed in feeds]
    expected = [run_model(first, feed) for feed in feeds]
    trip.bound = max(TOLERANCE, NOISE_FACTOR * max(map(partial(own_rounding, model), feeds)))
    tensors = [tuple(torch.from_numpy(array) for array in feed.values()) for feed in feeds]

    graph = to_fx(model)
    trip.stage("fx", lambda args: run_module(graph, args), tensors, expected)
    again = trace(graph, tensors[0], free_dimensions(model, feeds))
    second = Session(again)
    trip.stage("onnx", lambda feed: run_model(second, feed), feeds, expected)
    graph_again = to_fx(again)
    trip.stage("fx again", lambda args: run_module(graph_again, args), tensors, expected)


def own_rounding(model: ir.Model, feed: Arrays) -> float:
    """How far rounding alone moves a model's outputs, relative to their root mean square."""
    outputs = Session(model).run(feed)
    noise = rounding_noise(model, feed, outputs)
    return max((change / _root_mean_square(outputs[name]) for name, change in noise.items()), default=0.0)


def _root_mean_square(array: np.ndarray[Any, Any]) -> float:
    return float(np.sqrt(np.mean(np.square(array, dtype=np.float64)))) or 1.0


def prepared(name: str, model: ir.Model, feeds: Sequence[Arrays]) -> list[tuple[str, ir.Model, list[Arrays]]]:
    """What of a model goes round: itself; for each value of a switch a model of its own; weights that differ.

    torch.export needs both branches of an If to work at the sizes at hand, and a branch of silero-vad works
    at its own alone. The weights of light models are all alike: channels could change places unseen, and
    values reach 1e10.

    Returns:
        Name, model and the feeds that fit it.
    """
    if name in SWITCHES:
        switch = SWITCHES[name]
        parts = []
        for value in sorted({int(feed[switch]) for feed in feeds}):
            fitting = [dict(feed) for feed in feeds if int(feed[switch]) == value]
            fixed = model.clone()
            place = next(each for each in fixed.graph.inputs if each.name == switch)
            place.const_value = ir.tensor(fitting[0][switch], name=switch)
            fixed.graph.initializers.add(place)
            fixed.graph.inputs.remove(place)
            parts.append((f"{name} {value}", fixed, [_without(feed, switch) for feed in fitting]))
        return parts
    if name.startswith("light_"):
        return [(name, _with_drawn_weights(model), list(feeds))]
    return [(name, model, list(feeds))]


def _without(feed: Arrays, name: str) -> Arrays:
    return {each: array for each, array in feed.items() if each != name}


def _with_drawn_weights(model: ir.Model) -> ir.Model:
    """Every ConstantOfShape an initializer with elements of its own: He's normal ones, vectors positive."""
    drawn = model.clone()
    FreezeInitializers()(drawn)
    rng = np.random.default_rng(networks.SEED)
    for node in list(drawn.graph):
        shape = constant(node.inputs[0]) if node.op_type == "ConstantOfShape" else None
        if shape is None:
            continue
        old = node.outputs[0]
        scale = math.sqrt(2 / max(1, math.prod(shape[1:])))
        array = rng.normal(0, scale, shape) if len(shape) > 1 else rng.uniform(0.5, 1.0, shape)
        tensor = ir.tensor(array.astype(np.float32), name=old.name)
        new = ir.Value(name=old.name, type=old.type, shape=ir.Shape(array.shape), const_value=tensor)
        ir.convenience.replace_all_uses_with(old, new)
        drawn.graph.remove(node, safe=True)
        drawn.graph.initializers.add(new)
    return drawn


def free_dimensions(model: ir.Model, feeds: Sequence[Arrays]) -> tuple[dict[int, str], ...] | None:
    """For each input the names of the dimensions in which the feeds differ; None if there are none.

    A dimension keeps the graph's name for it where that is a word, so that equal names stay equal sizes.
    """
    values = {value.name: value for value in model.graph.inputs}
    free: list[dict[int, str]] = []
    for name in feeds[0]:
        shape = values[name].shape
        assert shape is not None, f"{name} has no rank"
        names = {}
        for axis, dim in enumerate(shape):
            if len({feed[name].shape[axis] for feed in feeds}) > 1:
                stated = str(getattr(dim, "value", None) or "")
                plain = re.fullmatch(r"[A-Za-z]\w*", stated)
                names[axis] = stated if plain else f"{re.sub(r'[^0-9A-Za-z]', '_', name)}_{axis}"
        free.append(names)
    return tuple(free) if any(free) else None


def attempt(trip: Trip, go: Callable[[Trip], None]) -> Trip:
    """Send the trip on its way, note what stopped it, and print it."""
    try:
        go(trip)
    except Exception as error:
        line = next(iter(str(error).splitlines()), "")
        trip.failure = f"{type(error).__name__}: {line[:300]}"
    print(trip, flush=True)
    return trip


def network_trips(names: Sequence[str], small: bool) -> list[Trip]:
    """Every network there is a name of (default: all) in every variant, a line printed for each."""
    trips = []
    for case in (networks.NETWORKS if small else networks.FULL_SIZE).values():
        if names and case.name not in names:
            continue
        if case.missing():
            print(f"{case.name:20} left out: needs {', '.join(case.missing())}")
            continue
        for dtype in (torch.float32, torch.float16):
            for dynamic in (False, True):
                variant = f"{str(dtype).removeprefix('torch.')} {'dynamic' if dynamic else 'static'}"
                go = partial(network_trip, case=case, dtype=dtype, dynamic=dynamic)
                trips.append(attempt(Trip(case.name, variant), go))
    return trips


def zoo_trips(names: Sequence[str]) -> list[Trip]:
    """Every model of the zoo there is a name of (default: all) in every variant, a line printed for each."""
    trips = []
    for name, entry in zoo.ZOO.items():
        if names and name not in names:
            continue
        try:
            model = graphopt.load(entry.path())
        except ZooError as error:
            print(f"error: {name}: {error}", file=sys.stderr)
            continue
        for part, each, feeds in prepared(name, model, entry.inputs()):
            for variant in VARIANTS:
                trips.append(attempt(Trip(part, variant), partial(zoo_trip, model=each, feeds=feeds)))
    return trips


def main(arguments: Sequence[str] | None = None) -> int:
    """Send the named models (default: all) round; 1 if a figure is beyond its bound."""
    parser = argparse.ArgumentParser(description="Send models from ONNX to torch.fx and back.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="networks and models (default: all)")
    parser.add_argument("--only", choices=("networks", "zoo"))
    parser.add_argument("--small", action="store_true", help="the networks at the sizes of the tests")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.names if name not in zoo.ZOO and name not in networks.FULL_SIZE]
    if unknown:
        known = ", ".join([*networks.FULL_SIZE, *zoo.ZOO])
        parser.error(f"no model named {', '.join(unknown)}; there are {known}")
    torch.set_num_threads(1)
    trips = []
    if options.only != "zoo":
        trips += network_trips(options.names, options.small)
    if options.only != "networks":
        trips += zoo_trips(options.names)
    good = sum(trip.good for trip in trips)
    print(f"{good} of {len(trips)} within their bounds")
    if not (options.names or options.only or options.small):
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps([asdict(trip) for trip in trips], indent=1) + "\n", encoding="utf-8")
    return int(good < len(trips))


if __name__ == "__main__":
    sys.exit(main())
