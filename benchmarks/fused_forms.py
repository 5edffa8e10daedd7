"""Times each fused operator against its spellings in onnxruntime, for the table `[times]` of the targets.

    python benchmarks/fused_forms.py [--rounds N] [FORM...]

Prints a line a size, then the geometric means as TOML. Both sides run with all of onnxruntime's own
optimizations, on one thread, in turns in this process; a ratio is the median over rounds, against the fastest
spelling. Nothing is written.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import onnxruntime
from fused_form_attention import attentions
from fused_form_cases import Array, Case, convs, elementwise, planes, products
from onnx import numpy_helper

OPSETS = {"": 24, "com.microsoft": 1}
IR_VERSION = 10
ROUNDS = 25
SECONDS_A_ROUND = 0.004
TOLERANCE = 1e-3
"""Agreement asked of the two sides, of the largest element: enough to see that they are the same function."""


def all_cases() -> list[Case]:
    """Every case, those of one form in a row."""
    return [*elementwise(), *planes(), *convs(), *products(), *attentions()]


def build(case: Case, text: str) -> onnxruntime.InferenceSession:
    """A session of one side of a case."""
    ports = ", ".join(f"{_type(value)} {name}" for name, value in case.inputs.items())
    opsets = ", ".join(f'"{domain}": {version}' for domain, version in OPSETS.items())
    header = f"<ir_version: {IR_VERSION}, opset_import: [{opsets}]>"
    model = onnx.parser.parse_model(f"{header} g ({ports}) => (float y) {{ {text} }}")
    model.graph.output[0].type.tensor_type.ClearField("shape")
    once = list(model.graph.node)
    del model.graph.node[:]
    for step in range(case.repeat):
        model.graph.node.extend(_renamed(node, step, case) for node in once)
    used = {name for node in model.graph.node for name in node.input}
    model.graph.initializer.extend(
        numpy_helper.from_array(np.asarray(array), name)
        for name, array in weights_of(case).items()
        if name in used
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def _renamed(node: onnx.NodeProto, step: int, case: Case) -> onnx.NodeProto:
    """A copy of a node for one of the repeated steps: the `y` of one is the `x` of the next."""
    last = case.repeat - 1

    def rename(name: str) -> str:
        if name == "_":
            return ""
        if name == "x" and step:
            return f"y{step - 1}"
        if name == "y":
            return name if step == last else f"y{step}"
        return name if not name or name in case.inputs or name in case.weights else f"{name}_{step}"

    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    copy.input[:] = map(rename, node.input)
    copy.output[:] = map(rename, node.output)
    return copy


def _type(value: tuple[int, ...] | Array) -> str:
    if isinstance(value, tuple):
        return f"float[{','.join(map(str, value))}]"
    return f"int64[{','.join(map(str, value.shape))}]"


def weights_of(case: Case) -> Mapping[str, Array]:
    """The weights of a case, the same at each call."""
    random = np.random.default_rng(1)
    return {
        name: random.normal(0, 0.1, value).astype(np.float32) if isinstance(value, tuple) else value
        for name, value in case.weights.items()
    }


def feed_of(case: Case) -> dict[str, Array]:
    """Inputs of a case, the same at each call."""
    random = np.random.default_rng(2)
    return {
        name: random.normal(0, 1, value).astype(np.float32) if isinstance(value, tuple) else value
        for name, value in case.inputs.items()
    }


def measure(case: Case, rounds: int) -> tuple[float, float]:
    """Milliseconds of the fused form, and its time over that of the fastest spelling.

    Raises:
        RuntimeError: onnxruntime has no kernel for a side, or the sides disagree.
    """
    sessions = [build(case, text) for text in (case.fused, *case.spellings)]
    feed = feed_of(case)
    outputs = [session.run(["y"], feed)[0] for session in sessions]
    for other in outputs[1:]:
        worst = float(np.abs(outputs[0] - other).max())
        if not worst <= TOLERANCE * max(1.0, float(np.abs(other).max())):
            raise RuntimeError(f"the sides differ by {worst:.2g}")
    runs = max(1, int(SECONDS_A_ROUND / max(_time(sessions[0], feed, 2), 1e-6)))
    times: list[list[float]] = [[] for _ in sessions]
    for number in range(rounds):
        order = range(len(sessions)) if number % 2 else reversed(range(len(sessions)))
        for index in order:
            times[index].append(_time(sessions[index], feed, runs))
    ratios = [
        statistics.median(fused / spelled for fused, spelled in zip(times[0], other, strict=True))
        for other in times[1:]
    ]
    return 1e3 * statistics.median(times[0]), max(ratios)


def _time(session: onnxruntime.InferenceSession, feed: dict[str, Any], runs: int) -> float:
    start = time.perf_counter()
    for _ in range(runs):
        session.run(["y"], feed)
    return (time.perf_counter() - start) / runs


def main() -> int:
    """Time the cases and print the table; 0."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="rounds a size")
    parser.add_argument(
        "forms", nargs="*", metavar="FORM", help="only forms whose name contains one of these"
    )
    arguments = parser.parse_args()
    found: dict[str, list[float]] = {}
    for case in all_cases():
        if arguments.forms and not any(each in case.form for each in arguments.forms):
            continue
        try:
            milliseconds, ratio = measure(case, arguments.rounds)
        except Exception as error:  # a form without a kernel is a result too, whatever onnxruntime raises
            print(f"{case.form:<48} {case.size:<36} cannot run: {str(error).splitlines()[0][:150]}")
            continue
        found.setdefault(case.form, []).append(ratio)
        print(f"{case.form:<48} {case.size:<36} {milliseconds:8.3f} ms  x{ratio:.2f}", flush=True)
    print("\n[times]")
    for form, ratios in found.items():
        mean = math.exp(statistics.fmean(map(math.log, ratios)))
        print(f'"{form}" = {mean:.2f}  # {min(ratios):.2f} to {max(ratios):.2f}')
    return 0


if __name__ == "__main__":
    sys.exit(main())
