"""Measure the kernels: share of the processor's peak, beside onnxruntime and torch on one thread.

`python benchmarks/kernels.py [--tier avx2] [--markdown]` prints a table. The peak is that of the sums of
products of codes that the instruction set has, measured again beside each figure, for clocks change. Each
figure is the median of paired runs in one process. Rows of other kinds are in modules beside this one.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Iterator
from typing import Any

import kernels_conv
import kernels_floats
import kernels_other
import kernels_products
import numpy as np
import onnxruntime
import torch
from kernels_rows import Row, Seconds, timed
from onnx import helper, numpy_helper

from graphopt._native import Operator, kernel_peak

PRODUCTS = [
    (1024, 1024, 1024),
    (512, 512, 512),
    (128, 768, 768),
    (196, 256, 1152),
    (3136, 64, 64),
    (16, 1000, 1280),
    (1, 1024, 1024),
    (1, 512, 512),
    (1, 256, 256),
]
ROUNDS = 15
SECONDS_OF_ROUND = 5e-4


def onnxruntime_product(x: np.ndarray[Any, Any], weights: np.ndarray[Any, Any]) -> Seconds:
    """QLinearMatMul by constant weights [N, K], inputs and outputs bound once."""
    code = helper.np_dtype_to_tensor_dtype(x.dtype)
    constants = {
        "x_scale": np.float32(0.01),
        "x_zero": x.dtype.type(3),
        "weights": np.ascontiguousarray(weights.T),
        "w_scale": np.float32(0.01),
        "w_zero": np.int8(0),
        "y_scale": np.float32(1),
        "y_zero": x.dtype.type(100),
    }
    graph = helper.make_graph(
        [helper.make_node("QLinearMatMul", ["x", *constants], ["y"])],
        "product",
        [helper.make_tensor_value_info("x", code, list(x.shape))],
        [helper.make_tensor_value_info("y", code, [x.shape[0], weights.shape[0]])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    binding = session.io_binding()
    binding.bind_cpu_input("x", x)
    binding.bind_output("y", "cpu")
    return timed(lambda: session.run_with_iobinding(binding))


def torch_product(x: np.ndarray[Any, Any], weights: np.ndarray[Any, Any]) -> Seconds:
    """s8 by s8 to s32, without requantization."""
    left = torch.from_numpy((x.astype(np.int16) - 128 if x.dtype == np.uint8 else x).astype(np.int8))
    right = torch.from_numpy(np.ascontiguousarray(weights.T))
    return timed(lambda: torch._int_mm(left, right))


def products(tier: str | None) -> Iterator[Row]:
    """gemm of u8 and of s8 by s8, to codes."""
    rng = np.random.default_rng(0)
    for rows, columns, depth in PRODUCTS:
        weights = rng.integers(-127, 128, (columns, depth)).astype(np.int8)
        for type_, low in (("u8", 0), ("s8", -128)):
            x = rng.integers(low, low + 256, (rows, depth)).astype(np.uint8 if type_ == "u8" else np.int8)
            attributes = {
                "weights": weights,
                "weight_scale": np.full(1, 0.01, np.float32),
                "x_scale": 0.01,
                "x_zero": 3,
                "y_type": type_,
                "y_scale": 1.0,
                "y_zero": 100,
            }
            bound = Operator("gemm", attributes, tier=tier).bind([x], 1)
            peers = {"onnxruntime": onnxruntime_product(x, weights)}
            if rows > 16:  # fewer are refused
                peers["torch"] = torch_product(x, weights)
            yield Row(
                f"gemm {type_} {rows}x{columns}x{depth}", 2 * rows * columns * depth, bound.seconds, peers
            )


def measure(row: Row, tier: str | None) -> tuple[float, float, dict[str, float]]:
    """Microseconds a run; share of the peak (0 where nothing counts); how many times as fast as each peer."""
    repeats = max(1, int(SECONDS_OF_ROUND / max(row.ours(3), 1e-7)))
    for peer in row.peers.values():
        peer(2)
    times, shares = [], []
    ratios: dict[str, list[float]] = {name: [] for name in row.peers}
    for _ in range(ROUNDS):
        peak = max(kernel_peak(tier), kernel_peak(tier))
        row.ours(1)  # peers have left other data in the caches
        ours = row.ours(repeats)
        times.append(ours)
        shares.append(row.operations / ours / peak)
        for name, peer in row.peers.items():
            peer(1)
            ratios[name].append(peer(repeats) / ours)
    medians = {name: statistics.median(values) for name, values in ratios.items()}
    return statistics.median(times) * 1e6, statistics.median(shares), medians


FAMILIES = (products, kernels_products.rows, kernels_conv.rows, kernels_other.rows, kernels_floats.rows)


def main() -> None:
    """Print a row for each kernel."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tier", help="the instruction set (the newest if not given)")
    parser.add_argument("--only", default="", help="rows whose names contain this")
    parser.add_argument("--markdown", action="store_true", help="print a table in Markdown")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    onnxruntime.set_default_logger_severity(3)
    peers = ("onnxruntime", "torch")
    titles = ["kernel", "us", "% of peak", *(f"x {peer}" for peer in peers)]
    if arguments.markdown:
        print("| " + " | ".join(titles) + " |\n|" + "---|" * len(titles))
    for row in (row for family in FAMILIES for row in family(arguments.tier)):
        if arguments.only not in row.name:
            continue
        microseconds, share, ratios = measure(row, arguments.tier)
        cells = [row.name, f"{microseconds:.1f}", f"{100 * share:.1f}" if row.operations else ""]
        cells += [f"{ratios[peer]:.2f}" if peer in ratios else "" for peer in peers]
        if arguments.markdown:
            print("| " + " | ".join(cells) + " |", flush=True)
        else:
            print(
                f"{cells[0]:<44}{cells[1]:>10} us{cells[2]:>7}" + "".join(f"{c:>8}" for c in cells[3:]),
                flush=True,
            )


if __name__ == "__main__":
    main()
