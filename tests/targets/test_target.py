"""Targets are data files; an unknown one names those that are known."""

from __future__ import annotations

from pathlib import Path

import pytest

from graphopt.cost import GENERIC
from graphopt.errors import UsageError
from graphopt.targets import Target, known_targets

HEAD = 'name = "a"\ndescription = "b"\ndomains = []\n'


@pytest.mark.parametrize("name", known_targets())
def test_targets_that_ship_load(name: str) -> None:
    target = Target.load(name)
    assert target.name == name and "" in target.domains and target.rates is GENERIC


def test_only_ort_cpu_allows_the_operators_of_onnxruntime() -> None:
    assert "com.microsoft" in Target.load("ort-cpu").domains
    assert "com.microsoft" not in Target.load("portable").domains


def test_a_target_may_share_the_quantization_rules_of_another() -> None:
    assert Target.load("portable").quantization == Target.load("ort-cpu").quantization


def test_a_target_may_add_to_the_quantization_rules_of_another() -> None:
    native, base = Target.load("native").quantization, Target.load("ort-cpu").quantization
    assert native is not None and base is not None
    assert set(native.ops) - set(base.ops) == {"ConvTranspose"}
    assert native.ops["Conv"] == base.ops["Conv"] and native.steps == base.steps


def test_an_unknown_target_names_the_known_ones() -> None:
    with pytest.raises(UsageError, match="unknown target 'gpu'") as error:
        Target.load("gpu")
    assert "ort-cpu, portable" in (error.value.hint or "")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name = ", "is not a target file"),
        (HEAD + "[quantization]\nlike = 'gpu'", "no target is named 'gpu'"),
        ('name = "a"', "key 'description' is missing"),
        ('name = "a"\ndescription = "b"\ndomains = [1]', "expected a string, found 1"),
        ('name = "a"\ndescription = "b"\ndomains = []\nspeed = 1', "unknown key 'speed'"),
        (HEAD + "quantization = 3", "quantization: expected a table or a target's name, found 3"),
        (HEAD + 'quantization = "gpu"', "unknown target 'gpu'"),
        (HEAD + "quantization = {}", "key 'ops' is missing"),
    ],
)
def test_a_broken_file_says_what_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "own.toml"
    path.write_text(text, "utf-8")
    with pytest.raises(UsageError, match=message):
        Target.load(str(path))


def test_a_missing_file_is_named() -> None:
    with pytest.raises(UsageError, match=r"target file nowhere\.toml cannot be read"):
        Target.load("nowhere.toml")
