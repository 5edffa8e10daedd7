"""Latency of `torch.compile(module, backend="graphopt")` beside PyTorch's own ways to run a module.

    python benchmarks/torch_backend.py [--full] [--inductor] [--threads N] [--seconds S] [NAME...]

Rows are the networks of `networks.py` in float32 without gradients; all ways take turns, and ratios are
medians of pairs. Recurrent layers are captured too (`torch._dynamo.config.allow_rnn`), which PyTorch leaves
out by default. A run of everything at full size writes `results/torch_backend.json`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import networks
import torch
from torch.utils import _pytree as pytree

RESULTS = Path(__file__).resolve().parent / "results" / "torch_backend.json"
FEWEST_ROUNDS = 7
MOST_ROUNDS = 400


@dataclass
class Row:
    """What was measured of one network.

    Attributes:
        name: The network.
        threads: Threads of PyTorch and of the runtimes.
        compile_seconds: Time of the first call, by way.
        milliseconds: Median latency, by way.
        speed: Median over pairs of the eager module's time over the way's.
        error: Largest difference from the eager module, over the output's largest number, by way.
        notes: Warnings of the compilers.
    """

    name: str
    threads: int
    compile_seconds: dict[str, float] = field(default_factory=dict)
    milliseconds: dict[str, float] = field(default_factory=dict)
    speed: dict[str, float] = field(default_factory=dict)
    error: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        parts = [f"{self.name:19} eager {self.milliseconds['eager']:8.3f} ms"]
        parts += [
            f"{way} {self.milliseconds[way]:8.3f} ms, {speed:.2f}x, error {self.error[way]:.0e}, "
            f"compiled in {self.compile_seconds[way]:.1f} s"
            for way, speed in self.speed.items()
        ]
        return "; ".join([*parts, *self.notes])


def measure(case: networks.Case, backends: Sequence[str], seconds: float) -> Row:
    """Compile a network in every way and let all ways take turns."""
    module, inputs = case.module(), case.inputs()
    row = Row(case.name, torch.get_num_threads())
    ways: dict[str, Callable[..., Any]] = {"eager": module}
    expected = pytree.tree_leaves(module(**inputs))
    for backend in backends:
        torch._dynamo.reset()
        way = torch.compile(module, backend=backend)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            started = time.perf_counter()
            way(**inputs)
            row.compile_seconds[backend] = time.perf_counter() - started
            found = pytree.tree_leaves(way(**inputs))
        row.notes += [str(each.message) for each in caught if "PyTorch runs it" in str(each.message)]
        row.error[backend] = max(map(_error, found, expected))
        ways[backend] = way
    times = _take_turns(ways, inputs, seconds)
    for way_name, taken in times.items():
        row.milliseconds[way_name] = statistics.median(taken) * 1e3
        if way_name != "eager":
            row.speed[way_name] = statistics.median(
                eager / own for eager, own in zip(times["eager"], taken, strict=True)
            )
    return row


def _take_turns(
    ways: Mapping[str, Callable[..., Any]], inputs: Mapping[str, Any], seconds: float
) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {name: [] for name in ways}
    names = list(ways)
    for way in ways.values():
        way(**inputs)
    deadline = time.perf_counter() + seconds
    for done in range(MOST_ROUNDS):
        if done >= FEWEST_ROUNDS and time.perf_counter() > deadline:
            break
        for name in names if done % 2 else reversed(names):
            started = time.perf_counter()
            ways[name](**inputs)
            times[name].append(time.perf_counter() - started)
    return times


def _error(found: Any, expected: Any) -> float:
    if not isinstance(expected, torch.Tensor) or not expected.is_floating_point():
        return 0.0
    return float((found - expected).abs().max() / expected.abs().max().clamp(min=1e-6))


def main() -> None:
    """Measure, print a line for each network, and keep a whole run."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="networks; all by default")
    parser.add_argument("--full", action="store_true", help="at the sizes of their papers")
    parser.add_argument("--inductor", action="store_true", help="also PyTorch's compiler, which needs g++")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=2.0, help="time for each network")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch._dynamo.config.allow_rnn = True
    cases = networks.FULL_SIZE if options.full else networks.NETWORKS
    backends = ["graphopt", *(["inductor"] if options.inductor else [])]
    rows = []
    with torch.no_grad():
        for name in options.names or cases:
            if cases[name].missing():
                print(f"{name:19} left out: needs {', '.join(cases[name].missing())}")
                continue
            rows.append(measure(cases[name], backends, options.seconds))
            print(rows[-1], flush=True)
    if options.full and not options.names:
        RESULTS.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
