"""Which kernels run: the newest instruction set there is, or what GRAPHOPT_ISA allows."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from graphopt._native import Operator, kernel_table, kernel_tier, kernel_tiers

TIERS = ("scalar", "avx2", "avx_vnni", "avx512_vnni", "avx512_vbmi")
PROGRAM = "from graphopt._native import kernel_tier; print(kernel_tier())"


def tier_under(isa: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "GRAPHOPT_ISA": isa}
    return subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True)


def test_the_newest_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GRAPHOPT_ISA", raising=False)
    assert kernel_tier() == kernel_tiers()[-1]


def test_plain_code_runs_everywhere() -> None:
    assert kernel_tiers()[0] == "scalar"
    assert set(kernel_tiers()) <= set(TIERS)
    assert all(own[0] == "scalar" for _, own in kernel_table())


@pytest.mark.parametrize("asked", TIERS)
def test_the_environment_allows_so_much_and_no_more(asked: str) -> None:
    below = TIERS[: TIERS.index(asked) + 1]
    assert tier_under(asked).stdout.strip() == [tier for tier in kernel_tiers() if tier in below][-1]


def test_an_unknown_instruction_set_is_an_error() -> None:
    outcome = tier_under("sse9")
    assert outcome.returncode != 0
    assert "known: scalar, avx2" in outcome.stderr
    with pytest.raises(ValueError, match="no instruction set is named 'sse9'"):
        Operator("lookup", {}, tier="sse9")
