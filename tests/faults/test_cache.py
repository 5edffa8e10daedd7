"""The cache of the machine's rates is damaged, endless, unwritable or nowhere: as if there were none."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from graphopt.cost import machine
from graphopt.cost.machine import load_rates, measure_rates

DAMAGED = {
    "empty": b"",
    "cut off": b'{"flops_per_second": {"gemm": 218416',
    "not text": b"\xff\xfe\x00",
    "zeros": bytes(4096),
    "no object": b"[1, 2, 3]",
    "null": b"null",
    "another object": b'{"flops_per_second": 7}',
    "not a number": b"NaN",
    "nested": b"[" * 100_000,
    "large": b" " * (2 << 20),
}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file where the rates would be."""
    monkeypatch.setenv("GRAPHOPT_CACHE", str(tmp_path))
    return machine._cache_file(1)


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_damaged(run: Any, files: Any, cache: Path, content: bytes) -> None:
    cache.write_bytes(content)
    assert load_rates() is None
    assert run("optimize", files.model, "-o", files.output, "--no-measure").code == 0


def test_every_damage_to_one_value(cache: Path) -> None:
    """Whatever stands in the place of one value: the rates are known, or they are not."""
    rates = measure_rates(seconds=0.02)
    assert load_rates() == rates
    plain = json.loads(cache.read_text())
    for key in plain:
        value: Any
        for value in (None, -1, "x", [], {}, float("nan"), float("inf"), 1e400, [[]], True):
            cache.write_text(json.dumps({**plain, key: value}))
            load_rates()


def test_a_pipe_is_not_waited_for(cache: Path) -> None:
    os.mkfifo(cache)
    assert load_rates() is None


def test_a_folder_in_its_place(cache: Path) -> None:
    cache.mkdir()
    assert load_rates() is None
    assert measure_rates(seconds=0.02).measured


def test_a_folder_that_takes_no_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAPHOPT_CACHE", os.devnull)
    assert load_rates() is None
    assert measure_rates(seconds=0.02).measured


def test_a_user_without_a_home(run: Any, files: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in ("GRAPHOPT_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", nowhere)
    assert load_rates() is None
    assert measure_rates(seconds=0.02).measured
    assert run("optimize", files.model, "-o", files.output, "--no-measure").code == 0
