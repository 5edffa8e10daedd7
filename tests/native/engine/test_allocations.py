"""Running a program allocates nothing: counted by a malloc of the test's own."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import pytest

from graphopt import demo
from graphopt.native import Program, compile
from graphopt.testing.programs import RECIPES, random_program

HERE = Path(__file__).parent

COUNT = """
import ctypes
import sys
from pathlib import Path
import numpy as np
from graphopt._native import Program

library = ctypes.CDLL(None)
allocations, large = library.graphopt_allocations, library.graphopt_large
allocations.restype = large.restype = ctypes.c_long

def taken(counter, run, *arguments):
    before = counter()
    run(*arguments)
    return counter() - before

files = sorted(Path(sys.argv[1]).glob("*.program"))
for path in files:
    program = Program.load(path.read_bytes())
    with np.load(path.with_suffix(".npz")) as arrays:
        inputs = list(arrays.values())
    shapes = [list(array.shape) for array in inputs]
    planned = program.arena(shapes)
    outputs = sum(array.nbytes for array in program.run(inputs, 1))
    fresh = Program.load(path.read_bytes())
    assert fresh.arena(shapes) == planned and fresh.held == 0
    # What is large is the arena, with the little that goes before it, and the outputs.
    assert taken(large, fresh.run, inputs, 1) <= planned + outputs + 4096, path.name
    for threads in (1, 2, 3):
        fresh.seconds(inputs, threads, 1)
        once = taken(allocations, fresh.seconds, inputs, threads, 1)
        often = taken(allocations, fresh.seconds, inputs, threads, 300)
        # Python's own list of 300 numbers may take a few.
        assert once > 0 and often < once + 100, (path.name, threads, once, often)
        assert taken(large, fresh.run, inputs, threads) <= outputs + 4096
    assert fresh.held == planned, path.name
assert taken(allocations, bytearray, 1_000_000) > 0
assert taken(large, bytearray, 1_000_000) >= 1_000_000
print("counted", len(files))
"""


def save(folder: Path, name: str, program: Program, inputs: list[npt.NDArray[Any]]) -> None:
    (folder / f"{name}.program").write_bytes(program.to_bytes())
    np.savez(folder / f"{name}.npz", *inputs)


def programs_of_all_kinds(folder: Path) -> None:
    """As few as have all kinds of steps."""
    missing = set(RECIPES)
    for seed in range(200):
        program, inputs = random_program(seed, 30)
        kinds = {row.kind for row in program.profile(inputs, repeats=1) if row.runs}
        if kinds & missing:
            missing -= kinds
            save(folder, f"random_{seed}", program, inputs)
    # A reshape is never run: its elements are those of its input.
    assert missing <= {"reshape"}


@pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc" or "libasan" in os.environ.get("LD_PRELOAD", ""),
    reason="the counting malloc stands on glibc's own, which a sanitizer's replaces",
)
def test_runs_allocate_nothing_after_the_first(tmp_path: Path, quantized: ir.Model) -> None:
    """Of each kind of step and of a whole network; and the first takes its arena and no more."""
    programs_of_all_kinds(tmp_path)
    images = np.resize(demo.load().images, (64, *demo.load().images.shape[1:]))
    network = compile(quantized)
    assert network.arena([images.shape]) > 1 << 17
    save(tmp_path, "network", network, [images])
    library = tmp_path / "allocations.so"
    compiler = os.environ.get("CC", "cc")
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(HERE / "allocations.c")], check=True
    )
    done = subprocess.run(
        [sys.executable, "-c", COUNT, str(tmp_path)],
        env={**os.environ, "LD_PRELOAD": str(library)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.startswith("counted"), done.stderr
