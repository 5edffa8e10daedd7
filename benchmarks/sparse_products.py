"""Products with weights that are partly zero, against the same with none: what sparsity gains in our kernels.

    python benchmarks/sparse_products.py [--markdown]

Whole blocks of 16 outputs and 4 inputs are left out by the kernels of AVX-512 VNNI and AVX-VNNI; the figures
are medians of paired runs of one operator in one process, on one thread. No kernel makes use of 2:4: what it
could gain tells `sparse_products.cc`, which is built here with the compiler at hand. `--markdown` writes the
table into the README.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from readme import write_table

from graphopt._native import Operator, kernel_tiers

HERE = Path(__file__).resolve().parent
FLAGS = "-O3 -std=c++17 -mavx2 -mfma -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni"
# Rows, outputs, inputs.
PRODUCTS = [(1, 1024, 1024), (16, 256, 256), (128, 768, 768), (512, 512, 512), (3136, 64, 64)]
# Width and height, and channels in and out, of a window of 3x3.
IMAGES = [(56, 64), (14, 256), (7, 512)]
ZEROS = (0.3, 0.5, 0.7, 0.9)
BLOCK = (16, 4)
TIERS = ("avx512_vnni", "avx_vnni")
ROUNDS = 25
SECONDS_OF_ROUND = 1e-3
CODES: dict[str, Any] = {"weight_scale": np.full(1, 1e-3, np.float32), "x_scale": 1.0, "x_zero": 3}
CODES |= {"y_type": "u8", "y_scale": 1.0, "y_zero": 100}
WINDOW = {"strides": [1, 1], "pads": [1, 1, 1, 1], "dilations": [1, 1], "groups": 1}


def sparse(rng: np.random.Generator, outputs: int, inputs: int, zeros: float) -> Any:
    """Weights [outputs, inputs] of which so many blocks are zero."""
    kept = rng.random((outputs // BLOCK[0], inputs // BLOCK[1])) >= zeros
    codes = rng.integers(-127, 128, (outputs, inputs))
    return (codes * np.repeat(np.repeat(kept, BLOCK[0], 0), BLOCK[1], 1)).astype(np.int8)


def ratios(kind: str, attributes: dict[str, Any], shape: tuple[int, ...], x: Any, tier: str) -> list[float]:
    """How many times as fast as the dense product, for each share of zeros."""
    rng = np.random.default_rng(1)

    def bound(zeros: float) -> Any:
        weights = sparse(rng, shape[0], int(np.prod(shape[1:])), zeros).reshape(shape)
        return Operator(kind, CODES | attributes | {"weights": weights}, tier=tier).bind([x], 1)

    dense = bound(0.0)
    repeats = max(1, int(SECONDS_OF_ROUND / dense.seconds(3)))
    found = []
    for zeros in ZEROS:
        other = bound(zeros)
        other.seconds(repeats)
        found.append(
            statistics.median(dense.seconds(repeats) / other.seconds(repeats) for _ in range(ROUNDS))
        )
    return found


def rows(tier: str) -> Iterator[tuple[str, list[float]]]:
    """Names and ratios."""
    rng = np.random.default_rng(0)
    for count, outputs, inputs in PRODUCTS:
        x = rng.integers(0, 256, (count, inputs)).astype(np.uint8)
        yield f"gemm {count}x{outputs}x{inputs}", ratios("gemm", {}, (outputs, inputs), x, tier)
    for width, channels in IMAGES:
        x = rng.integers(0, 256, (1, width, width, channels)).astype(np.uint8)
        shape = (channels, 3, 3, channels)
        yield f"conv 3x3 {width}^2x{channels}", ratios("conv", WINDOW, shape, x, tier)


def two_of_four() -> str:
    """The sentence on 2:4: the least and the most of its ratios, over several depths."""
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "sparse_products"
        source, include = HERE / "sparse_products.cc", HERE.parent / "cpp_ext"
        compiler = os.environ.get("CXX", "c++")
        subprocess.run([compiler, *FLAGS.split(), f"-I{include}", source, "-o", program], check=True)
        printed = subprocess.run([program], check=True, capture_output=True, text=True).stdout
    found = [float(line.split()[1]) for line in printed.splitlines()]
    return (
        "2:4 weights, chosen by a shuffle for each product, are summed up "
        f"{min(found):.2f} to {max(found):.2f} times as fast as dense ones\nby AVX-512 VNNI, before anything "
        "is stored; no kernel makes use of them."
    )


def main() -> None:
    """Print the table, or write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--markdown", action="store_true", help="write the table into the README")
    arguments = parser.parse_args()
    titles = [f"{100 * zeros:.0f}%" for zeros in ZEROS]
    lines = [f"| blocks that are zero | | {' | '.join(titles)} |", f"|---|---|{'--:|' * len(ZEROS)}"]
    for tier in TIERS:
        if tier not in kernel_tiers():
            continue
        for name, found in rows(tier):
            lines.append(f"| {name} | {tier} | {' | '.join(f'{each:.2f}' for each in found)} |")
            print(lines[-1], flush=True)
    if "avx512_vnni" in kernel_tiers():
        lines += ["", two_of_four()]
        print(lines[-1])
    if arguments.markdown:
        write_table("sparse-products", "\n".join(lines))


if __name__ == "__main__":
    main()
