"""Every case of every family comes to the end that it states: refused for a reason, or optimized."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

import pytest

from graphopt.testing.hostile import FAMILIES, Case, Runner
from graphopt.testing.hostile.families import large

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="files are tried in forks")

LARGE_COUNT = 200
STRIDE = {"damaged": 8, "names": 2, "operators": 9}
"""Of large families one case in so many is tried here; `benchmarks/hostile.py` tries all."""


@pytest.fixture(scope="module")
def runner() -> Iterator[Runner]:
    with Runner(levels=(2,), check_timeout=0.5) as made:
        yield made


def cases_of(family: str) -> list[Case]:
    cases: Callable[[], Iterator[Case]] = FAMILIES[family]
    found = list(large.cases(LARGE_COUNT) if family == "large" else cases())
    return found[:: STRIDE.get(family, 1)]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family(family: str, runner: Runner) -> None:
    wrong = []
    for case in cases_of(family):
        outcome = runner.try_file(case.write)
        if not case.allows(outcome):
            wrong.append(f"{case.name}: expected {case.refused!r}, {outcome}")
    assert not wrong, "\n".join(wrong)


def test_cases_have_names_of_their_own() -> None:
    for family, cases in FAMILIES.items():
        names = [case.name for case in cases()]
        assert len(set(names)) == len(names), family
