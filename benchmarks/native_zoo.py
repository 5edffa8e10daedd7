"""Every model of the zoo run by graphopt's engine inside onnxruntime, beside stock onnxruntime.

    python benchmarks/native_zoo.py [--forms FORM...] [--threads N...] [--seconds S] [NAME...]

Each model is run in float as it is, quantized by graphopt (`int8`) and by onnxruntime.quantization (`ort-
qdq` and `ort-qop`, static, a scale for each channel of weights). Each such file is run as it is by stock
onnxruntime, by `graphopt.native.Session`, which compiles without measuring, and as `graphopt optimize`
writes it for the target `native`, which measures. They take turns in one process. `light_*` get random
weights: those they have are all equal.

How near the results are to stock onnxruntime's is told at the last codes before each output: the share of
them that are at most a step away, on four inputs; and the same of onnxruntime with its own optimizations
off, which computes the graph as it is written. Figures are kept in `results/native_zoo.json`, and
`results/native_zoo.md` shows them all.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import engine
import numpy as np
import onnx
import onnxruntime
import zoo
from zoo_inputs import Arrays
from zoo_random import entry_of

import graphopt
from graphopt import native

RESULTS = Path(__file__).resolve().parent / "results"
FORMS = ("float", "int8", "ort-qdq", "ort-qop")
CALIBRATION_SAMPLES = 8
COMPARED_INPUTS = 4
STOCK, SESSION, OPTIMIZED = "onnxruntime", "Session", "--target native"
UNOPTIMIZED = "onnxruntime without optimizations"

CODE_TYPES = (onnx.TensorProto.UINT8, onnx.TensorProto.INT8)
LEGEND = (
    "`Session` and `--target native`: how many times as fast as stock onnxruntime on the same file, the "
    "median over pairs of turns in one process, and quartiles; nothing where `Session` finds no region, "
    "and runs the very same model. Programs: of the one / of the other. Codes: the share of the last "
    "codes before the outputs that are at most a step from stock onnxruntime's, of `Session` / of "
    "onnxruntime with its own optimizations off. `light_*` have random weights."
)

Record = dict[str, Any]


def file_of(entry: zoo.Entry, form: str) -> Path:
    """The model in a form, made if it is not in the cache."""
    if form == "float":
        return entry.path()
    if form == "int8":
        return engine.quantized(entry, everywhere=False)
    return quantized_statically(entry, form)


def quantized_statically(entry: zoo.Entry, form: str) -> Path:
    """The model as `quantize_static` makes it of the optimized float model."""
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from tasks.naive import Reader, raise_opset

    target = zoo.cache() / form / f"{entry.name}.onnx"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        plain = zoo.cache() / "optimized" / f"{entry.name}.onnx"
        plain.parent.mkdir(exist_ok=True)
        graphopt.optimize(entry.path(), skip=engine.LEFT_OUT, check=False, measure=False, output=plain)
        raise_opset(plain)
        quantize_static(
            str(plain),
            str(target),
            Reader(entry.inputs(seed, entry.bindings[:1])[0] for seed in range(CALIBRATION_SAMPLES)),
            quant_format=QuantFormat.QDQ if form == "ort-qdq" else QuantFormat.QOperator,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
    return target


def optimized(path: Path, form: str) -> Path:
    """What `graphopt optimize --target native` makes of a file."""
    target = zoo.cache() / "native" / f"{path.stem}.{form}.onnx"
    if not target.exists() or target.stat().st_mtime < path.stat().st_mtime:
        target.parent.mkdir(parents=True, exist_ok=True)
        graphopt.optimize(path, target="native", output=target)
    return target


def in_session(path: Path, inputs: Arrays, threads: int) -> tuple[engine.Run, int]:
    """The model in `graphopt.native.Session`, and how many programs it has."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    session = native.Session(path, options)
    return lambda: session.run(None, inputs), session.programs


def measure(name: str, form: str, threads: Sequence[int], seconds: float) -> Iterator[Record]:
    """A record for each number of threads."""
    entry = entry_of(name)
    try:
        path = file_of(entry, form)
        onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    except Exception as error:  # of a tool or runtime: to be reported, whatever it is
        yield {"model": name, "form": form, "fails": f"{type(error).__name__}: {error}".splitlines()[0][:120]}
        return
    written = optimized(path, form)
    (inputs,) = entry.inputs(0, entry.bindings[:1])
    record: Record = {"model": name, "form": form}
    if form != "float":
        record["agreement"] = agreement(path, entry)
    for count in threads:
        session, record["programs"] = in_session(path, inputs, count)
        emitted, record["emitted programs"] = in_session(written, inputs, count)
        ways = {STOCK: engine.in_onnxruntime(path, inputs, count), OPTIMIZED: emitted}
        if record["programs"]:  # else it runs the very model that stock onnxruntime runs
            ways[SESSION] = session
        times = engine.take_turns(ways, seconds)
        yield record | {
            "threads": count,
            "milliseconds": {way: 1e3 * statistics.median(taken) for way, taken in times.items()},
            "faster": {way: faster(times[STOCK], taken) for way, taken in times.items() if way != STOCK},
        }


def faster(stock: Sequence[float], ours: Sequence[float]) -> list[float]:
    """How many times as fast: the median over pairs of turns, and the quartiles around it."""
    return [float(each) for each in np.quantile(np.divide(stock, ours), (0.5, 0.25, 0.75))]


def agreement(path: Path, entry: zoo.Entry) -> dict[str, float]:
    """Share of the last codes before the outputs that are within a step of stock onnxruntime's.

    Of `Session`, and of onnxruntime without its optimizations; empty where no codes are before any output.
    """
    model = last_codes(onnx.load(path))
    if model is None:
        return {}
    data = model.SerializeToString()
    plain = onnxruntime.SessionOptions()
    plain.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    stock = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    others = {
        SESSION: native.Session(data),
        UNOPTIMIZED: onnxruntime.InferenceSession(data, plain, providers=["CPUExecutionProvider"]),
    }
    near, total = dict.fromkeys(others, 0), 0
    for seed in range(COMPARED_INPUTS):
        (inputs,) = entry.inputs(seed, entry.bindings[:1])
        expected = stock.run(None, inputs)
        total += sum(each.size for each in expected)
        for way, session in others.items():
            near[way] += sum(map(within_a_step, expected, session.run(None, inputs)))
    return {way: count / total for way, count in near.items()}


def within_a_step(expected: np.ndarray[Any, Any], found: np.ndarray[Any, Any]) -> int:
    """How many codes differ by one at most."""
    return int(np.count_nonzero(np.abs(expected.astype(np.int16) - found.astype(np.int16)) <= 1))


def last_codes(model: onnx.ModelProto) -> onnx.ModelProto | None:
    """The model cut off at the codes that its outputs are computed of; None where there are none."""
    makers = {name: node for node in model.graph.node for name in node.output}
    fixed = {each.name for each in model.graph.initializer}
    found: dict[str, None] = {}
    waiting, seen = [value.name for value in model.graph.output], set[str]()
    while waiting:
        name = waiting.pop()
        node = makers.get(name)
        if node is None or name in seen:
            continue
        seen.add(name)
        if node.op_type == "QuantizeLinear" or node.op_type.startswith("QLinear"):
            found.setdefault(name)
        elif not (node.op_type == "DequantizeLinear" and node.input[0] in fixed):
            waiting += node.input
    if not found:
        return None
    inferred = onnx.shape_inference.infer_shapes(model)
    types = {each.name: each.type.tensor_type.elem_type for each in inferred.graph.value_info}
    zeros = {each.name: each.data_type for each in model.graph.initializer}
    outputs = []
    for name in found:
        kind = types.get(name) or next(
            (zeros[each] for each in makers[name].input if zeros.get(each) in (2, 3)), 2
        )
        outputs.append(onnx.helper.make_tensor_value_info(name, kind, None))
    del model.graph.output[:]
    model.graph.output.extend(outputs)
    return model


def render(records: Sequence[Record]) -> str:
    """All figures as a table."""
    titles = (
        "model",
        "form",
        "threads",
        "onnxruntime, ms",
        "Session",
        "`--target native`",
        "programs",
        "codes",
    )
    lines = [f"| {' | '.join(titles)} |", "|---|---|--:|--:|--:|--:|--:|--:|"]
    for each in records:
        if "fails" in each:
            lines.append(
                f"| {each['model']} | {each['form']} | {each['fails'].replace('|', '/')} | | | | | |"
            )
            continue
        near = " / ".join(f"{100 * share:.2f}%" for share in each.get("agreement", {}).values())
        session, emitted = (speed(each["faster"].get(way)) for way in (SESSION, OPTIMIZED))
        lines.append(
            f"| {each['model']} | {each['form']} | {each['threads']} | {each['milliseconds'][STOCK]:.3f} "
            f"| {session} | {emitted} | {each['programs']} / {each['emitted programs']} "
            f"| {near} |"
        )
    slower = [each for each in records if any(high < 1 for _, _, high in each.get("faster", {}).values())]
    told = ", ".join(f"{each['model']} ({each['form']}, {each['threads']} threads)" for each in slower)
    return "\n".join(
        (*lines, "", LEGEND, "", f"Slower than stock onnxruntime in three of four turns: {told or 'none'}.")
    )


def speed(found: Sequence[float] | None) -> str:
    """A median with its quartiles; nothing where the same model would be measured twice."""
    return "" if found is None else f"{found[0]:.2f}x ({found[1]:.2f} to {found[2]:.2f})"


def merged(old: Sequence[Record], new: Sequence[Record]) -> list[Record]:
    """New records beside old ones of other models, forms and numbers of threads, in the order of the zoo."""
    named = {(each["model"], each["form"]) for each in new if "fails" in each}
    kept: dict[tuple[str, str, int], Record] = {}
    for each in (*(each for each in old if (each["model"], each["form"]) not in named), *new):
        if "fails" not in each:
            kept.pop((each["model"], each["form"], 0), None)
        kept[each["model"], each["form"], each.get("threads", 0)] = each
    names = list(zoo.ZOO)
    return [
        kept[key] for key in sorted(kept, key=lambda key: (names.index(key[0]), FORMS.index(key[1]), key[2]))
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description="The zoo in graphopt's engine, beside stock onnxruntime.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="of the zoo (default: all)")
    parser.add_argument("--forms", nargs="+", choices=FORMS, default=list(FORMS))
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--seconds", type=float, default=3.0, help="for each file and number of threads")
    parser.add_argument("--make", action="store_true", help="only make the files")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.names if name not in zoo.ZOO]
    if unknown:
        parser.error(f"no model named {', '.join(unknown)}; there are {', '.join(zoo.ZOO)}")
    records: list[Record] = []
    for name in options.names or zoo.ZOO:
        for form in options.forms:
            if options.make:
                print(name, form, made(name, form), flush=True)
                continue
            for record in measure(name, form, options.threads, options.seconds):
                records.append(record)
                print(record, flush=True)
    if records:
        keep(records)
    return 0


def made(name: str, form: str) -> str:
    """Make the files of a model in a form; say how that went."""
    try:
        return str(optimized(file_of(entry_of(name), form), form))
    except Exception as error:  # of a tool: to be reported, whatever it is
        return f"{type(error).__name__}: {error}".splitlines()[0]


def keep(records: Sequence[Record]) -> None:
    """Add records to those of the results, and write the table."""
    figures = RESULTS / "native_zoo.json"
    old: Sequence[Mapping[str, Any]] = json.loads(figures.read_text()) if figures.exists() else []
    together = merged([dict(each) for each in old], records)
    figures.write_text(json.dumps(together, indent=1) + "\n", encoding="utf-8")
    (RESULTS / "native_zoo.md").write_text(render(together) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
