"""Rates are measured once, kept whole, and measured again when the cache cannot be used."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import pytest

from graphopt.cost import GENERIC, MachineRates, load_rates, machine, measure_rates
from graphopt.cost.call import Kind


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GRAPHOPT_CACHE", str(tmp_path))
    return tmp_path


def test_measured_rates_are_kept_and_a_damaged_cache_is_measured_again(cache: Path) -> None:
    assert load_rates() is None
    first = measure_rates(seconds=0.01)
    assert first.measured and math.isinf(first.bandwidths[-1].capacity)
    assert measure_rates(seconds=0.01) == load_rates() == first
    (file,) = cache.iterdir()
    for damage in ("", "{", "[]", "{}", file.read_text("utf-8").replace('"gemm"', '"other"')):
        file.write_text(damage, "utf-8")
        assert load_rates() is None
    file.write_bytes(b"\xff\xfe")
    assert measure_rates(seconds=0.01).measured
    assert load_rates() is not None
    assert [path.name for path in cache.iterdir()] == [file.name]


def test_rates_of_another_machine_are_not_used(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rates = dataclasses.replace(GENERIC, cpu="other", onnxruntime="0.1")
    monkeypatch.setattr(machine, "_measure", lambda threads, seconds: rates)
    assert measure_rates() is rates
    assert load_rates(threads=2) is None


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("GRAPHOPT_CACHE", str(tmp_path / "file" / "folder"))
    assert measure_rates(seconds=0.01).measured


def test_the_roof_that_binds_decides() -> None:
    rates = dataclasses.replace(GENERIC, node_overhead=1e-6)
    compute = rates.flops_per_second[Kind.GEMM.value]
    memory = rates.bandwidths[-1].bytes_per_second
    assert rates.seconds(Kind.GEMM, int(compute), 8) == pytest.approx(1 + 1e-6)
    assert rates.seconds(Kind.MOVE, 0, int(memory)) == pytest.approx(1 + 1e-6)
    assert rates.seconds(Kind.FREE, 0, 0) == 1e-6


def test_rates_survive_plain_data() -> None:
    assert MachineRates.from_dict(GENERIC.to_dict()) == GENERIC
    for key, value in (("node_overhead", 0), ("bandwidths", []), ("flops_per_second", {"gemm": 1.0})):
        with pytest.raises(ValueError, match="rate"):
            MachineRates.from_dict({**GENERIC.to_dict(), key: value})
