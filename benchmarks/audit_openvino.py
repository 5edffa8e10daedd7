"""Hold predictions for OpenVINO to the precisions in which its CPU plugin runs heavy nodes.

    python benchmarks/audit_openvino.py [--generated N] [MODEL...]

Takes quantized models and generated ones. The plugin tells in its runtime model which kernel runs a layer,
and of which layers of the model that one is made; what it does not tell is not counted. The exit code is 1 if
one layer runs otherwise than predicted. OpenVINO 2026.4.1 ends the process on a few generated models.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import onnx_ir as ir

from graphopt.quant.predict import INT8, predict
from graphopt.targets import Target
from graphopt.testing.generate.quantized import quantized_model

LAYERS = ("Convolution", "Deconvolution", "FullyConnected", "MatMul")


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare, print a line for each model; 1 if a prediction fails."""
    parser = argparse.ArgumentParser(description="Hold predictions for OpenVINO to what it runs.")
    parser.add_argument("models", nargs="*", metavar="MODEL", help="ONNX files")
    parser.add_argument("--generated", type=int, default=0, metavar="N", help="so many generated models too")
    options = parser.parse_args(arguments)
    total: Counter[bool] = Counter()
    for name, model in _models(options.models, options.generated):
        try:
            found = list(compare(model))
        except RuntimeError as error:
            print(f"{name}: not compiled: {str(error).strip().splitlines()[-1][:120]}", flush=True)
            continue
        total.update(agrees for agrees, _ in found)
        print(f"{name}: {len(found)} layers", flush=True)
        for line in (line for agrees, line in found if not agrees):
            print(f"    {line}", flush=True)
    print(f"{total[True]} layers run as predicted, {total[False]} do not")
    return 1 if total[False] else 0


def compare(model: ir.Model) -> Iterator[tuple[bool, str]]:
    """For each heavy node whose kernel is known: whether it runs as predicted, and a line about it."""
    rules = Target.load("openvino").quantization
    assert rules is not None
    kernels = _kernels(ir.to_proto(model).SerializeToString())
    for placement in predict(model, rules):
        node = placement.node
        names = [node.name, *(value.name for value in node.outputs)]
        found = next((kernels[name] for name in names if name in kernels), None)
        if placement.heavy and found is not None:
            in_codes = any("i8" in kernel.lower() for kernel in found)
            yield in_codes == (placement.runs_in == INT8), f"{placement.reason}; it runs {', '.join(found)}"


def _kernels(proto: bytes) -> dict[str | None, list[str]]:
    """Kernels of heavy layers by the name of each node that they are made of."""
    import openvino

    core = openvino.Core()
    hints = {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    compiled = core.compile_model(core.read_model(proto), "CPU", hints)
    found: dict[str | None, list[str]] = defaultdict(list)
    for layer in compiled.get_runtime_model().get_ordered_ops():
        facts: Any = layer.get_rt_info()
        if facts["layerType"].astype(str) in LAYERS:
            for name in facts["originalLayersNames"].astype(str).split(","):
                found[name.removesuffix("/WithoutBiases")].append(facts["primitiveType"].astype(str))
    return found


def _models(files: Sequence[str], generated: int) -> Iterator[tuple[str, ir.Model]]:
    yield from ((file, ir.load(file)) for file in files)
    yield from ((f"seed {seed}", quantized_model(seed)) for seed in range(generated))


if __name__ == "__main__":
    sys.exit(main())
