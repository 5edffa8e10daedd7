"""Structured pruning measured: how much smaller and faster models become, and how accurate they stay.

    python benchmarks/pruning.py [--speed NAME...] [--accuracy NAME...] [--models DIR] [--markdown]

Speed rows take half of the MACs out, without data, and measure against the model at `-O2`, the two taking
turns in stock onnxruntime. Accuracy rows prune on a task's calibration data with compensation, and beside it
by plain magnitude: the same share of the smallest filters of every layer, and no weight made up for them;
both are judged on data that nothing was fitted to. Without names all rows are measured. Each row goes to
`results/pruning.json` as soon as it is there; `--markdown` writes `results/pruning.md` of all rows in it.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import zoo
from tasks.catalog import TASKS
from tasks.photographs import MorePhotographs
from tasks.task import Task, open_run

import graphopt
from graphopt.compile.levels import pipeline_for
from graphopt.cost import estimate
from graphopt.execute import InputSet, bench
from graphopt.ir import infer_shapes

RESULTS = Path(__file__).resolve().parent / "results"
KEPT = RESULTS / "pruning.json"
HALF = 0.5
LEAST_SHARE = 0.7
"""Of the MACs saved, so much is to be saved of the time."""
SPEED = (
    "ppocr-det",
    "ppocr-rec",
    "ppocr-cls",
    "ddddocr",
    "effnet-lite0",
    "minilm",
    *(each.name for each in zoo.LIGHT),
)


class Case(NamedTuple):
    """A task's model to prune.

    Attributes:
        task: That calibrates and judges it.
        rate: Share of the MACs to take out.
        bound: How far the headline figure may fall below the float model's.
    """

    task: type[Task[Any, Any]]
    rate: float
    bound: float


ACCURACY: Mapping[str, Case] = {
    "digits": Case(TASKS["digits"], 0.3, 1.0),
    "ppocr-rec": Case(TASKS["ppocr-rec"], 0.15, 3.0),
    "effnet-lite0": Case(TASKS["effnet-lite0"], 0.1, 10.0),
    "effnet-lite0, 33 photographs": Case(MorePhotographs, 0.1, 10.0),
}
CALIBRATION = 160
"""Samples; a quarter of them is held out by the driver."""
MAGNITUDE: Mapping[str, Any] = {
    "importance": "l2",
    "scope": "layer",
    "compensate": False,
    "sensitivity": False,
}
SECONDS = 6.0
CHECK_SECONDS = 600.0
CHECK_BYTES = 4 << 30
"""Enough to run any of the models at the size that is measured."""

Record = dict[str, Any]


def pruned(
    source: Path,
    target: Path,
    rate: float,
    calibration: Any,
    shapes: Mapping[str, Sequence[int]] | None = None,
    **options: Any,
) -> Record:
    """Prune a file as `graphopt optimize --prune` does; how many seconds that takes."""
    begin = time.perf_counter()
    graphopt.optimize(
        str(source),
        prune={"macs": rate, **options},
        calibration=calibration,
        shapes=shapes,
        check_timeout=CHECK_SECONDS,
        memory_limit=CHECK_BYTES,
        measure=False,
        output=str(target),
    )
    return {"seconds": time.perf_counter() - begin}


def speed(name: str, folder: Path) -> Record:
    """Half of the MACs out of a model: what is left of them, and how much faster it runs."""
    entry = zoo.BASELINES.get(name, zoo.ZOO[name])
    whole, small = folder / f"{name}.O2.onnx", folder / f"{name}.half.onnx"
    original = graphopt.load(str(entry.path()))
    graphopt.save(pipeline_for(2, None, ()).run(original).model, whole)
    inputs = zoo.ZOO[name].inputs()[0]
    shapes = {key: array.shape for key, array in inputs.items()}
    record = pruned(entry.path(), small, HALF, None, shapes)
    macs = [_macs(path, shapes) for path in (whole, small)]
    measured = bench([whole, small], inputs=[InputSet(inputs)], threads=1, seconds=SECONDS)
    ratio = measured.ratio(1)
    return record | {
        "macs": macs[1] / macs[0],
        "milliseconds": 1e3 * measured.median(0),
        "ratio": ratio.median,
        "interval": list(ratio.interval),
    }


def _macs(path: Path, shapes: Mapping[str, Sequence[int]]) -> float:
    model = graphopt.load(str(path))
    infer_shapes(model)
    return float(estimate(model, shapes=shapes).macs)


def accuracy(name: str, folder: Path) -> Record:
    """A task's model pruned with compensation and by magnitude, judged on what neither has seen."""
    case = ACCURACY[name]
    task, rate = case.task(), case.rate
    samples = list(task.calibration(CALIBRATION))
    record: Record = {"rate": rate, "headline": task.headline, "bound": case.bound}
    record["float"] = task.score(task.float_run)
    runs: Mapping[str, Mapping[str, Any]] = {"compensated": {}, "magnitude": MAGNITUDE}
    for kind, options in runs.items():
        file = folder / f"{name}.{kind}.onnx"
        made = pruned(task.path(), file, rate, samples, **options)
        record[kind] = {**made, "figures": task.score(open_run(file))}
    return record


def render(results: Mapping[str, Mapping[str, Record]]) -> str:
    """All rows as Markdown."""
    lines = [
        "Half of the MACs pruned, against the model at -O2 (one thread, stock onnxruntime, paired turns,",
        f"median and 99% interval); at least {LEAST_SHARE} of the MACs saved are to be saved of the time.",
        "",
        "| model | MACs left | ms at -O2 | times as fast | interval | of the MACs saved |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for name, row in results.get("speed", {}).items():
        low, high = (1 / each for each in reversed(row["interval"]))
        share = (1 - row["ratio"]) / (1 - row["macs"])
        lines.append(
            f"| {name} | {row['macs']:.3f} | {row['milliseconds']:.2f} | {1 / row['ratio']:.2f} "
            f"| {low:.2f}-{high:.2f} | {share:.2f} |"
        )
    lines += [
        "",
        "light_inception_v1 and light_zfnet512 spend half of their time in LRN, whose channels stay: each is",
        "divided by its neighbours, which would be others.",
        "",
        "Accuracy without retraining, on data that nothing was fitted to, in percent.",
        "",
        "| task | MACs pruned | judged by | float | compensated | plain magnitude | bound | seconds |",
        "|---|--:|---|--:|--:|--:|--:|--:|",
    ]
    for name, row in results.get("accuracy", {}).items():
        figures = [row["float"], row["compensated"]["figures"], row["magnitude"]["figures"]]
        values = [each[row["headline"]] for each in figures]
        told = " | ".join(f"{value:.1f}" for value in values)
        lines.append(
            f"| {name} | {row['rate']:.0%} | {row['headline']} | {told} | {values[0] - row['bound']:.1f} "
            f"| {row['compensated']['seconds']:.0f} |"
        )
    lines += [
        "",
        "effnet-lite0 is calibrated on crops of 11 photographs, six of them textures, the moon and a page,",
        "and on crops of these and 22 more, of objects, animals and streets; it is judged on crops of 12",
        "others.",
    ]
    return "\n".join(lines) + "\n"


def kept_results() -> dict[str, dict[str, Record]]:
    """All rows measured so far, by kind and name."""
    results: dict[str, dict[str, Record]] = {"speed": {}, "accuracy": {}}
    if KEPT.exists():
        results |= json.loads(KEPT.read_text(encoding="utf-8"))
    return results


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure rows."""
    parser = argparse.ArgumentParser(description="Measure structured pruning.")
    parser.add_argument("--speed", nargs="*", choices=SPEED, metavar="NAME")
    parser.add_argument("--accuracy", nargs="*", choices=list(ACCURACY), metavar="NAME")
    parser.add_argument("--models", type=Path, metavar="DIR", help="keep the models made there")
    parser.add_argument("--markdown", action="store_true", help="write results/pruning.md")
    options = parser.parse_args(arguments)
    every = options.speed is None and options.accuracy is None
    rows = {
        "speed": SPEED if every or options.speed == [] else options.speed or (),
        "accuracy": tuple(ACCURACY) if every or options.accuracy == [] else options.accuracy or (),
    }
    results = kept_results()
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.models or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        for kind, names in rows.items():
            for name in names:
                row = (speed if kind == "speed" else accuracy)(name, folder)
                print(name, json.dumps(row), file=sys.stderr, flush=True)
                results = kept_results()  # others may have written since
                results[kind][name] = row
                KEPT.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    text = render(results)
    print(text)
    if options.markdown:
        (RESULTS / "pruning.md").write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
