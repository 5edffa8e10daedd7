"""Whole int8 models in graphopt's engine, beside onnxruntime and OpenVINO on the same file.

    python benchmarks/engine.py [--threads N...] [--seconds S] [--mixed] [--profile] [NAME...]

Each model of the zoo is quantized once, by `quantize-static{everywhere=true}` on inputs of its own, and kept
in the zoo's cache: every node is on codes that can be. All runtimes load that file and take turns in one
process; what is printed is the median of the pairs. What cannot run a file is said; the engine runs by itself
and inside onnxruntime. With `--mixed` the file is what `graphopt optimize --quantize int8` makes, where nodes
stay in float that gain nothing by codes in onnxruntime. `light_*` get random weights. `--profile` prints
the engine's steps, the slowest first; `--json FILE` writes the figures. `--markdown` writes the table
`results/engine.md` and puts it into the README.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime
import zoo
from readme import write_table
from zoo_inputs import Arrays
from zoo_random import entry_of

import graphopt
from graphopt import native

NAMES = ("effnet-lite0", "ppocr-det", "ppocr-cls", "ppocr-rec", "magika", "minilm", "light_resnet50")
SAMPLES = 4
"""Calibration runs per binding."""
LEFT_OUT = ("drop-dead-channels",)
"""Passes that peers would lose by: stock runtimes take far longer for counts of channels like 479."""
FEWEST_ROUNDS, MOST_ROUNDS = 5, 500
REST_SECONDS, TURN_SECONDS = 0.06, 0.03
WARM_UP = 3
ROUNDING = ("WeightBiasQuantization",)
"""Rounds weights to 8 bits that the file has in float, of a ConvTranspose between codes for one."""
ENGINE = "graphopt"
REGIONS = "graphopt in onnxruntime"

Run = Callable[[], Sequence[Any]]


@dataclass
class Row:
    """A model on so many threads.

    Attributes:
        name: Of the model.
        threads: Of each runtime.
        milliseconds: Median of each runtime.
        faster: How many times as fast as each peer the engine is, by itself if it can run the whole model,
            otherwise inside onnxruntime: the median over pairs of turns.
        agreement: Share of the output values within a fiftieth of the largest of onnxruntime's, if that
            rounds no weights that the file has in float.
        notes: What could not run, and why.
    """

    name: str
    threads: int
    milliseconds: dict[str, float] = field(default_factory=dict)
    faster: dict[str, float] = field(default_factory=dict)
    agreement: float | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def against_best(self) -> float | None:
        """Against the fastest peer."""
        return min(self.faster.values(), default=None)

    def __str__(self) -> str:
        times = "  ".join(f"{name} {taken:8.3f} ms" for name, taken in self.milliseconds.items())
        best = self.against_best
        parts = [f"{self.name:16} {self.threads} threads  {times}"]
        if best is not None:
            parts.append(f"{best:5.2f}x as fast as the best peer")
        if self.agreement is not None:
            parts.append(f"{self.agreement:.2%} of values agree")
        return "  ".join(parts + self.notes)


def table(rows: Sequence[Row]) -> str:
    """The figures in Markdown."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "|---|" + "--:|" * (len(COLUMNS) - 1)]
    for row in rows:
        times = [f"{row.milliseconds[way]:.3g}" if way in row.milliseconds else "" for way in RUNTIMES]
        best = "" if row.against_best is None else f"{row.against_best:.2f}"
        lines.append("| " + " | ".join([row.name, str(row.threads), *times, best]) + " |")
    return "\n".join(lines)


def quantized(entry: zoo.Entry, everywhere: bool) -> Path:
    """The file of a model in int8, made if it is not in the cache."""
    folder = zoo.cache() / ("int8-everywhere" if everywhere else "int8")
    target = folder / f"{entry.name}.onnx"
    if target.exists():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    samples = folder / f"{entry.name}.calibration"
    samples.mkdir(exist_ok=True)
    for seed in range(SAMPLES):
        (arrays,) = entry.inputs(seed, entry.bindings[:1])
        np.savez(samples / f"{seed}.npz", allow_pickle=False, **arrays)
    if everywhere:
        passes = f"-O2,calibrate{{data={samples}}},quantize-static{{everywhere=true}}"
        graphopt.optimize(
            entry.path(), passes=passes, skip=LEFT_OUT, check=False, measure=False, output=target
        )
    else:
        graphopt.optimize(
            entry.path(), quantize="int8", calibration=str(samples), measure=False, output=target
        )
    return target


def in_onnxruntime(path: Path, inputs: Arrays, threads: int, without: Collection[str] = ()) -> Run:
    """The model in stock onnxruntime, but for some of its optimizations."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        path, options, providers=["CPUExecutionProvider"], disabled_optimizers=list(without)
    )
    return lambda: session.run(None, inputs)


def in_openvino(path: Path, inputs: Arrays, threads: int) -> Run:
    """The model in OpenVINO, tuned for latency."""
    import openvino

    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": "f32",
        # Pinning would bind this thread to one processor, and with it the threads that others start here.
        "ENABLE_CPU_PINNING": False,
    }
    compiled = openvino.Core().compile_model(str(path), "CPU", settings)
    request = compiled.create_infer_request()
    return lambda: list(request.infer(inputs, share_inputs=True).values())


def in_engine(path: Path, inputs: Arrays, threads: int) -> Run:
    """The model as one program."""
    program = native.compile(ir.load(path))
    return lambda: program.run(inputs, threads)


def in_regions(path: Path, inputs: Arrays, threads: int) -> Run:
    """The model in onnxruntime, with programs for the regions that can be some."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = native.Session(path, options)
    return lambda: session.run(None, inputs)


RUNTIMES: Mapping[str, Callable[[Path, Arrays, int], Run]] = {
    "onnxruntime": in_onnxruntime,
    "openvino": in_openvino,
    ENGINE: in_engine,
    REGIONS: in_regions,
}
PEERS = ("onnxruntime", "openvino")
RESULTS = Path(__file__).resolve().parent / "results"
COLUMNS = ("model", "threads", "onnxruntime, ms", "OpenVINO", "`Program`", "in onnxruntime", "x best peer")


def measure(name: str, path: Path, inputs: Arrays, threads: int, seconds: float) -> Row:
    """Load a file in every runtime and let them take turns."""
    row = Row(name, threads)
    ways: dict[str, Run] = {}
    results: dict[str, Sequence[Any]] = {}
    for way, load in RUNTIMES.items():
        try:
            ways[way] = load(path, inputs, threads)
            results[way] = ways[way]()
        except Exception as error:  # of any runtime: to be reported, whatever it is
            ways.pop(way, None)
            row.notes.append(f"{way}: {(str(error).strip() or type(error).__name__).splitlines()[0][:100]}")
    times = take_turns(ways, seconds)
    for way, taken in times.items():
        row.milliseconds[way] = statistics.median(taken) * 1e3
    own = ENGINE if ENGINE in ways else REGIONS
    if own not in ways:
        return row
    if "onnxruntime" in results:
        row.agreement = agreement(results[own], in_onnxruntime(path, inputs, threads, ROUNDING)())
    for peer in PEERS:
        if peer in times:
            pairs = zip(times[peer], times[own], strict=True)
            row.faster[peer] = statistics.median(theirs / ours for theirs, ours in pairs)
    return row


def agreement(found: Sequence[Any], expected: Sequence[Any]) -> float:
    """Share of values that differ by no more than a fiftieth of their output's largest."""
    close = total = 0
    for got, want in zip(found, expected, strict=True):
        ours, theirs = np.asarray(got, np.float64), np.asarray(want, np.float64)
        largest = float(np.abs(theirs).max()) if theirs.size else 0.0
        close += int(np.count_nonzero(np.abs(ours - theirs) <= 0.02 * largest))
        total += theirs.size
    return close / total if total else 1.0


def take_turns(ways: Mapping[str, Run], seconds: float) -> dict[str, list[float]]:
    """Seconds a run, of each turn. A turn is a rest, a run that does not count, and some that do.

    The rest is for the threads of the one before, which spin for a while (onnxruntime's for 40 ms): they
    would take the processors of the next.
    """
    times: dict[str, list[float]] = {name: [] for name in ways}
    for way in ways.values():
        for _ in range(WARM_UP):
            way()
    deadline = time.perf_counter() + seconds
    names = list(ways)
    for done in range(MOST_ROUNDS):
        if done >= FEWEST_ROUNDS and time.perf_counter() > deadline:
            break
        for name in names if done % 2 else reversed(names):
            time.sleep(REST_SECONDS)
            times[name].append(_turn(ways[name]))
    return times


def _turn(way: Run) -> float:
    way()
    started = time.perf_counter()
    runs, taken = 0, 0.0
    while taken < TURN_SECONDS:
        way()
        runs, taken = runs + 1, time.perf_counter() - started
    return taken / runs


def print_profile(path: Path, inputs: Arrays, threads: int) -> None:
    """The steps of a whole model, the slowest first."""
    program = native.compile(ir.load(path))
    steps = program.profile(inputs, threads, repeats=20)
    total = sum(step.seconds for step in steps)
    shapes = {name: array.shape for name, array in inputs.items()}
    running = [step for step in steps if step.runs]
    print(f"  {total * 1e3:.3f} ms in {len(running)} steps; arena {program.arena(shapes):,} bytes")
    for step in sorted(running, key=lambda each: -each.seconds):
        place = " in place" if step.in_place else ""
        what = f"{step.kind:20} {step.inputs} -> {step.outputs}{place}  {step.name}"
        print(f"  {step.seconds * 1e6:9.1f} us  {what}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description="Whole int8 models in graphopt's engine, beside its peers.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of the zoo; default: {' '.join(NAMES)}")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--seconds", type=float, default=5.0, help="for each model and number of threads")
    parser.add_argument("--mixed", action="store_true", help="nodes that gain nothing stay in float")
    parser.add_argument("--json", type=Path, help="write the figures there")
    parser.add_argument("--markdown", action="store_true", help="write the table into results and the README")
    parser.add_argument("--profile", action="store_true", help="print the engine's steps")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.names if name not in zoo.ZOO]
    if unknown:
        parser.error(f"no model named {', '.join(unknown)}; there are {', '.join(zoo.ZOO)}")
    rows = []
    for name in options.names or NAMES:
        entry = entry_of(name)
        path = quantized(entry, everywhere=not options.mixed)
        (inputs,) = entry.inputs(0, entry.bindings[:1])
        for threads in options.threads:
            row = measure(name, path, inputs, threads, options.seconds)
            rows.append(row)
            print(row, flush=True)
            if options.profile and ENGINE in row.milliseconds:
                print_profile(path, inputs, threads)
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    if options.markdown:
        (RESULTS / "engine.md").write_text(table(rows) + "\n", encoding="utf-8")
        write_table("engine", table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
