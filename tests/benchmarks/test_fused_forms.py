"""The cases of fused forms: they cover the targets' tables, and both sides of one compute the same."""

from __future__ import annotations

import dataclasses
import importlib
from pathlib import Path
from typing import Any

import pytest

from graphopt.targets import Target, known_targets

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def forms(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("fused_forms")


@pytest.fixture
def cases(forms: Any) -> dict[str, Any]:
    """The smallest case of each form, by name; those of one form come in a row, small ones first."""
    return {case.form: case for case in reversed(forms.all_cases())}


@pytest.mark.parametrize("target", known_targets())
def test_every_time_of_a_target_is_measured(cases: dict[str, Any], target: str) -> None:
    assert Target.load(target).times.keys() <= cases.keys()


@pytest.mark.parametrize("form", ["Gelu", "com.microsoft.QuickGelu", "RotaryEmbedding", "Attention.3D"])
def test_a_form_is_timed_against_its_spellings(forms: Any, cases: dict[str, Any], form: str) -> None:
    milliseconds, ratio = forms.measure(cases[form], rounds=1)
    assert milliseconds > 0
    assert ratio > 0


def test_sides_that_compute_something_else_are_not_timed(forms: Any, cases: dict[str, Any]) -> None:
    wrong = dataclasses.replace(cases["Gelu"], spellings=("y = Relu(x)",))
    with pytest.raises(RuntimeError, match="the sides differ"):
        forms.measure(wrong, rounds=1)
