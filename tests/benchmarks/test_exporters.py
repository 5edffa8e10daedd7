"""The registry of exported networks and their inputs; nothing here is exported."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def exporters(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("exporters")


def test_names_say_what_was_exported_how(exporters: Any) -> None:
    assert all(name == export.name for name, export in exporters.EXPORTS.items())
    assert {"bert-dynamo", "llama-script-dynamic", "t5-decoder-dynamo-optimize-eager"} <= set(
        exporters.EXPORTS
    )


def test_every_network_comes_from_each_exporter_that_can(exporters: Any) -> None:
    for network in exporters.TRANSFORMERS.values():
        ways = [export for export in exporters.EXPORTS.values() if export.network is network]
        assert {way.exporter for way in ways} == {"dynamo", "script"}
        assert {way.dynamic for way in ways} == {way.optimize for way in ways} == {False, True}


def test_inputs_depend_on_the_seed_alone(exporters: Any) -> None:
    for export in exporters.EXPORTS.values():
        first, again, other = export.inputs(0), export.inputs(0), export.inputs(1)
        assert len(first) == (len(export.network.bindings) if export.dynamic else 1)
        for one, two in zip(first, again, strict=True):
            assert all(np.array_equal(one[name], two[name]) for name in one)
        assert any(not np.array_equal(first[0][name], other[0][name]) for name in first[0])


def test_half_exports_take_half_floats(exporters: Any) -> None:
    (feed,) = exporters.EXPORTS["llama-dynamo-half"].inputs()
    assert {array.dtype.name for array in feed.values()} == {"int64", "float16"}


def test_the_mask_covers_past_and_new_tokens(exporters: Any) -> None:
    for feed in exporters.EXPORTS["llama-dynamo-dynamic"].inputs():
        past = feed["past_key_0"].shape[2]
        assert feed["attention_mask"].shape[1] == past + feed["input_ids"].shape[1]
        assert (feed["attention_mask"].sum(1) > 0).all()


def test_list_exports_nothing(
    exporters: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GRAPHOPT_ZOO", str(tmp_path / "zoo"))
    assert exporters.main(["--list"]) == 0
    assert capsys.readouterr().out.split() == list(exporters.EXPORTS)
    assert not (tmp_path / "zoo").exists()
