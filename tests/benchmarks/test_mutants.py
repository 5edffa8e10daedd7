"""Which tests a mutant meets, in which order, and how outcomes are told; no mutant is run here."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
CSE = "passes/cleanup/cse.py"


@pytest.fixture
def mutants(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("mutants")


def test_equal_seeds_draw_equal_samples(mutants: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mutants, "MUTATED", ("passes/cleanup/*.py",))
    first, again, other = mutants.sample(5, 1), mutants.sample(5, 1), mutants.sample(5, 2)
    assert first == again != other
    assert all((mutants.ROOT / each.file).is_file() and each.before for each in first)


def test_its_own_tests_come_first_and_functions_by_turns(mutants: Any) -> None:
    lines = {
        7: [
            "tests/compile/test_a.py::one",
            *(f"tests/passes/test_cse.py::{name}" for name in ("a[1]", "a[2]", "b")),
        ],
        8: ["tests/ir/test_b.py::one", "tests/ir/test_b.py::two", "tests/ir/test_c.py::one"],
        9: ["tests/passes/test_cse.py::elsewhere"],
    }
    coverage = mutants.Coverage({CSE: lines})
    mutant = mutants.Mutant(CSE, 0, "comparison", 7, (7, 8), "a < b", "a <= b")
    assert coverage.tests(mutant) == [
        "tests/passes/test_cse.py::a[1]",
        "tests/passes/test_cse.py::b",
        "tests/passes/test_cse.py::a[2]",
        "tests/ir/test_b.py::one",
        "tests/ir/test_b.py::two",
        "tests/ir/test_c.py::one",
        "tests/compile/test_a.py::one",
    ]


def test_what_runs_on_import_meets_all_its_own_tests(mutants: Any) -> None:
    coverage = mutants.Coverage(
        {CSE: {7: ["tests/passes/test_cse.py::a"], 9: ["tests/passes/test_cse.py::b"]}}
    )
    mutant = mutants.Mutant(CSE, 0, "constant + 1", 1, None, "LIMIT = 1", "LIMIT = 2")
    assert coverage.tests(mutant) == ["tests/passes/test_cse.py"]


def test_the_table_counts_and_names_survivors(
    mutants: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    rows = [mutants.Mutant(CSE, 0, "comparison", n, None, f"a < {n}", f"a <= {n}").row for n in range(4)]
    explained = tmp_path / "mutants.md"
    explained.write_text(f"{rows[2]} a bound of no effect |\n")
    monkeypatch.setattr(mutants, "EXPLAINED", explained)
    outcomes = [
        mutants.Outcome(row, 1, "comparison", outcome)
        for row, outcome in zip(rows, ("killed", "hung", "survived", "survived"), strict=True)
    ]
    text = mutants.table(outcomes)
    assert "| comparison | 4 | 1 | 1 | 2 |" in text
    assert "killed or hung: 50.0%" in text
    assert f"survived, explained: 1\n{rows[2]}" in text
    assert f"survived, not explained: 1\n{rows[3]}" in text
