"""The pytest plug-in: its options, its fixture, Hypothesis tests that obey, and the report of a failure."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphopt.testing.given import draws_models, obey
from graphopt.testing.strategies import models

PLAIN = {name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"}
"""The environment without what the tests around were told."""

PROJECT = """
from graphopt.testing import check_pass
from graphopt.testing.broken import ChangesNumbers, Raises
from graphopt.testing.strategies import models
from hypothesis import given

drawn = []


@given(models(ops=["Relu", "Mul"], max_nodes=3))
def test_draws(model):
    drawn.append(model)


def test_drawn():
    assert len(drawn) == 5


@given(model=models(ops=["Mul"], max_nodes=3))
def test_given(model):
    check_pass(ChangesNumbers(), model)


def test_fixture(check_pass_on_models):
    tally = check_pass_on_models("dce", ops=["Relu", "Mul"], max_nodes=3)
    assert tally.models == 5


def test_raises(check_pass_on_models):
    check_pass_on_models(Raises(), ops=["Relu"])
"""


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """What pytest printed about the project, and where."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "test_project.py").write_text(PROJECT, "utf-8")
    options = ["--graphopt-examples=5", "--graphopt-seed=3", "-p", "no:cacheprovider", "-W", "ignore"]
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", *options],
        cwd=folder, env=PLAIN, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return ran.stdout, folder


def test_both_kinds_of_tests_obey_the_options(ran: tuple[str, Path]) -> None:
    out, _ = ran
    assert "graphopt: seed 3" in out and "2 failed, 3 passed" in out, out


def test_failures_are_reduced_saved_and_shown(ran: tuple[str, Path]) -> None:
    out, folder = ran
    sections = out.split(" graphopt ---")[1:]
    assert len(sections) == 2, out
    assert "y0 = Mul (" in sections[0] and "breaks 'numbers'" in sections[0]
    assert "breaks 'raises'" in sections[1] and "ZeroDivisionError" in sections[1]
    files = sorted(path.name for path in (folder / ".graphopt" / "failures").glob("*.onnx"))
    assert [name.rpartition("-")[0] for name in files] == ["test_given-numbers", "test_raises-raises"]
    for name, section in zip(files, sections, strict=True):
        assert f"graphopt check-pass {'--inputs' if 'npz' in section else 'graphopt'}" in section
        assert name in section


UNTESTED = """
import onnx_ir as ir
import pytest
from graphopt.errors import UsageError
from graphopt.testing import NothingTestedWarning


class Blind(ir.passes.InPlacePass):
    def call(self, model):
        return ir.passes.PassResult(model, False)


def negates(model):
    for node in model.graph:
        if node.op_type == "Neg":
            model.graph.doc_string = "seen"


def test_changes_nothing(check_pass_on_models):
    check_pass_on_models(Blind(), ops=["Relu"], max_nodes=2)


def test_changes_something(check_pass_on_models):
    check_pass_on_models("eliminate-identities", ops=["Identity", "Relu"], max_nodes=4)


def test_a_function_says_nothing_of_what_it_changes(check_pass_on_models):
    assert check_pass_on_models(negates, ops=["Neg"], max_nodes=2).changed


def test_no_examples(check_pass_on_models):
    with pytest.raises(UsageError, match="expected 1 or more"):
        check_pass_on_models(Blind(), examples=0)


def test_seed(pytestconfig):
    print("read", int(pytestconfig.getoption("--graphopt-seed")))
"""


SHARED = """
import pytest


@pytest.mark.parametrize("number", range(4))
def test_seed(pytestconfig, number):
    with open(f"seed{number}", "w") as file:
        file.write(pytestconfig.getoption("--graphopt-seed"))
"""


def pytest_in(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options]
    return subprocess.run(command, cwd=folder, env=PLAIN, capture_output=True, text=True, check=False)


def test_a_pass_that_changes_no_model_is_warned_of(tmp_path: Path) -> None:
    """And a seed left to chance is the same for all who read it."""
    (tmp_path / "test_untested.py").write_text(UNTESTED, "utf-8")
    ran = pytest_in(tmp_path, "-s", "--graphopt-seed=random")
    assert "5 passed, 1 warning" in ran.stdout, ran.stdout
    told = "test_untested:Blind changed none of 100 models, so nothing was tested: name the operators"
    assert f"NothingTestedWarning: {told} it looks for (ops=[...]) or opsets" in ran.stdout
    line = UNTESTED.splitlines().index('    check_pass_on_models(Blind(), ops=["Relu"], max_nodes=2)') + 1
    assert f"test_untested.py:{line}: NothingTestedWarning" in ran.stdout
    (shown,) = re.findall(r"graphopt: seed (\d+)", ran.stdout)
    assert f"read {shown}\n" in ran.stdout


def test_processes_share_a_seed_left_to_chance(tmp_path: Path) -> None:
    pytest.importorskip("xdist")
    (tmp_path / "test_seed.py").write_text(SHARED, "utf-8")
    ran = pytest_in(tmp_path, "-n2", "--graphopt-seed=random")
    assert ran.returncode == 0, ran.stdout
    (shown,) = re.findall(r"graphopt: seed (\d+)", ran.stdout)
    assert {file.read_text("utf-8") for file in tmp_path.glob("seed*")} == {shown}


def test_bounds_that_make_no_sense_are_told_with_a_hint(tmp_path: Path) -> None:
    text = "from graphopt.testing import models\nmodels(ops='Conv')\n"
    (tmp_path / "test_bounds.py").write_text(text, "utf-8")
    ran = pytest_in(tmp_path)
    assert "ops is 'Conv', expected a list" in ran.stdout and "hint: ops=['Conv']" in ran.stdout


@pytest.mark.parametrize("option", ["--graphopt-examples=0", "--graphopt-examples=-2"])
def test_no_examples_at_all(tmp_path: Path, option: str) -> None:
    (tmp_path / "test_nothing.py").write_text("def test_nothing(): pass", "utf-8")
    ran = pytest_in(tmp_path, option)
    assert ran.returncode == 4 and "expected 1 or more" in ran.stderr
    assert "INTERNALERROR" not in ran.stdout + ran.stderr


def test_the_front_of_the_plug_in_loads_nothing_heavy() -> None:
    code = "import sys, graphopt.testing.plugin; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"pytest", "hypothesis", "onnxruntime", "onnx", "onnx_ir", "numpy"} & set(loaded)


def test_a_seed_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "test_nothing.py").write_text("def test_nothing(): pass", "utf-8")
    ran = pytest_in(tmp_path, "--graphopt-seed=x")
    assert ran.returncode == 4 and "expected a number or 'random'" in ran.stderr


def test_only_tests_that_draw_models_obey() -> None:
    @given(st.lists(st.tuples(st.integers(), models(ops=["Relu"]))).map(len))
    def ours(number: int) -> None: ...

    @settings(max_examples=9)
    @given(st.lists(st.integers()))
    def other(numbers: list[int]) -> None: ...

    assert draws_models(ours) and not draws_models(other) and not draws_models(None)
    for test in (ours, other):
        obey(test, 7, 11)
    assert ours._hypothesis_internal_use_settings.max_examples == 7  # type: ignore[attr-defined]
    assert ours._hypothesis_internal_use_settings.deadline is None  # type: ignore[attr-defined]
    assert other._hypothesis_internal_use_settings.max_examples == 9  # type: ignore[attr-defined]
