"""`graphopt optimize` is killed, interrupted and terminated at random moments."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

BENCHMARK = str(Path(__file__).parents[2] / "benchmarks" / "faults.py")
"""Tries as many moments as one likes."""


def test_the_output_is_old_or_new() -> None:
    seed = random.SystemRandom().randrange(2**32)
    command = [
        sys.executable, BENCHMARK, "--json", "--seed", str(seed), "--moments", "2",
        "--", "in place, external data",
    ]  # fmt: skip
    ran = subprocess.run(command, capture_output=True, text=True)
    rows = json.loads(ran.stdout)
    assert sum(row["moments"] for row in rows) == 6
    assert not [wrong for row in rows for wrong in row["wrong"]], f"with --seed {seed}"


def test_two_at_a_time() -> None:
    command = [
        sys.executable, BENCHMARK, "--json", "--seed", "0", "--moments", "1", "--endings", "kill",
        "--", "two writers",
    ]  # fmt: skip
    ran = subprocess.run(command, capture_output=True, text=True)
    (row,) = json.loads(ran.stdout)
    assert row["moments"] == 1 and not row["wrong"]
