"""Running a program allocates nothing: counted by a malloc of the test's own."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent

COUNT = """
import ctypes
import numpy as np
from graphopt.native import Program, ProgramBuilder

allocations = ctypes.CDLL(None).graphopt_allocations
allocations.restype = ctypes.c_long

def taken(run, *arguments):
    before = allocations()
    run(*arguments)
    return allocations() - before

table = np.arange(256, dtype=np.uint8)[::-1].copy()
builder = ProgramBuilder()
value = builder.input("x", "u8", ["rows", 64])
ends = []
for i in range(20):
    (value,) = builder.step("lookup", [value], {"table": table, "type": "u8"})
    ends.append(value)
for i, end in enumerate(ends[::5]):
    builder.output(end, f"y{i}")
program = builder.build()
for rows in (1, 5000):
    x = np.zeros((rows, 64), np.uint8)
    for threads in (1, 2, 3):
        program.seconds([x], threads, 1)
        once = taken(program.seconds, [x], threads, 1)
        often = taken(program.seconds, [x], threads, 500)
        # Python's own list of 500 numbers may take a few.
        assert once > 0 and often < once + 100, (rows, threads, once, often)
assert taken(bytearray, 1_000_000) > 0
print("counted")
"""


@pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc" or "libasan" in os.environ.get("LD_PRELOAD", ""),
    reason="the counting malloc stands on glibc's own, which a sanitizer's replaces",
)
def test_runs_allocate_nothing_after_the_first(tmp_path: Path) -> None:
    library = tmp_path / "allocations.so"
    compiler = os.environ.get("CC", "cc")
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(HERE / "allocations.c")], check=True
    )
    done = subprocess.run(
        [sys.executable, "-c", COUNT],
        env={**os.environ, "LD_PRELOAD": str(library)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "counted\n", done.stderr
