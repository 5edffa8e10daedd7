"""`graphopt check-pass`: answers on files and on generated models, in words and values, with exit codes."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]
CHANGES = "graphopt.testing.broken:ChangesNumbers"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_right_pass(run: Run, model: Path) -> None:
    ran = run("check-pass", "eliminate-identities", model)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == f"every property holds on {model}: 1 change\n"


def test_what_was_not_checked_is_told(run: Run, model: Path) -> None:
    ran = run("check-pass", "fold,dce", model)
    assert ran.code == 0 and "idempotent not checked: several passes" in ran.out
    assert ran.out.startswith("every property that could be checked holds on ")


def test_a_wrong_pass_is_shown_on_a_small_model(run: Run, model: Path) -> None:
    ran = run("check-pass", CHANGES, model)
    assert (ran.code, ran.err) == (1, "")
    assert f"{CHANGES} breaks 'numbers' on {model}: output 'y': " in ran.out
    assert "y0 = Mul (" in ran.out and "Relu" not in ran.out
    again = run(*shlex.split(ran.out.splitlines()[-1])[1:])
    assert again.code == 1 and "breaks 'numbers' on .graphopt/failures/" in again.out


def test_a_minimal_model_is_not_saved_again(run: Run, model: Path, tmp_path: Path) -> None:
    ran = run("check-pass", CHANGES, model)
    files = sorted(tmp_path.rglob(".graphopt/**/*"))
    assert [each.name for each in files if each.is_file() and each.suffix != ".onnx"] == [".gitignore"]
    assert (tmp_path / ".graphopt" / ".gitignore").read_text("utf-8") == "*\n"
    assert "saved as .graphopt/failures/" in ran.out
    command = ran.out.splitlines()[-1]
    again = run(*shlex.split(command)[1:])
    assert again.code == 1 and "saved as" not in again.out
    assert again.out.endswith(f"\nto see it again:\n{command}\n")
    assert sorted(tmp_path.rglob(".graphopt/**/*")) == files


def test_several_files_and_a_folder_for_failures(run: Run, model: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.onnxtxt"
    other.write_text('<ir_version: 8, opset_import: ["" : 17]> g (float[2] x) => (float[2] y) { y = Neg(x) }')
    ran = run("check-pass", CHANGES, model, other, "--failures", tmp_path / "kept", "--json")
    told = json.loads(ran.out)
    assert ran.code == 1 and told["holds"] is False and told["pass"] == CHANGES
    broken, right = told["verdicts"]
    assert (broken["where"], broken["property"], right["where"]) == (str(model), "numbers", str(other))
    assert Path(broken["smallest"]["file"]).parent == tmp_path / "kept"
    assert "Mul" in broken["smallest"]["text"] and "check-pass" in broken["smallest"]["command"]
    assert (right["holds"], right["changes"], right["unchecked"]) == (True, 0, [])


def test_generated_models(run: Run) -> None:
    bounds = ["--examples", 6, "--seed", 3, "--ops", "Mul,Relu", "--max-nodes", 3]
    ran = run("check-pass", "dce", *bounds)
    assert ran.code == 0 and "every property holds on 6 models, seeds 3 to 8\n" in ran.out
    told = json.loads(run("check-pass", "dce", *bounds, "--json").out)
    assert told["holds"] and told["verdicts"][0]["models"] == 6
    ran = run("check-pass", CHANGES, *bounds)
    assert ran.code == 1 and "on the model of seed " in ran.out


def test_a_pass_that_changes_no_generated_model(run: Run, model: Path) -> None:
    ran = run("check-pass", "fuse-conv", "--examples", 4, "--ops", "Neg")
    assert ran.code == 0
    assert ran.out.splitlines()[-1] == (
        "fuse-conv changed none of 4 models, so nothing was tested: "
        "name the operators it looks for (--ops A,B)"
    )
    assert "nothing was tested" not in run("check-pass", "fuse-conv", model).out


def test_a_pass_beside_the_user(run: Run, model: Path, tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text("def nothing(model):\n    pass\n", "utf-8")
    for what in ("beside:nothing", "beside.py:nothing"):
        assert run("check-pass", what, model).code == 0


HANGS = """
import time
import onnx_ir as ir

class Hangs(ir.passes.InPlacePass):
    def call(self, model):
        while any(node.op_type == "Relu" for node in model.graph):
            time.sleep(0.01)
        return ir.passes.PassResult(model, modified=False)

def hangs(model):
    Hangs()(model)
"""


@pytest.mark.parametrize("name", ["Hangs", "hangs"])
def test_a_pass_that_hangs(run: Run, model: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "hanging.py").write_text(HANGS, "utf-8")
    ran = run("check-pass", f"hanging.py:{name}", model, "--pass-timeout", 0.2)
    assert ran.code == 1, ran.err
    assert f"hanging.py:{name} breaks 'raises' on {model}: it did not end after 0.2 s\n" in ran.out
    assert "Relu" in ran.out and "Mul" not in ran.out
    command = ran.out.splitlines()[-1]
    assert "--pass-timeout 0.2" in command
    again = run(*shlex.split(command)[1:])
    assert again.code == 1 and "it did not end after 0.2 s" in again.out


def test_a_level(run: Run, model: Path) -> None:
    assert run("check-pass", "--", "-O1", model).code == 0
    assert run("check-pass", "{fold,dce}*,-O1", model).code == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nonsense"], "there is no pass 'nonsense'"),
        (["nowhere:Thing"], "cannot load the pass 'nowhere:Thing'"),
        (["dce", "missing.onnx"], "missing.onnx"),
        (["dce", "--inputs", "x.npz"], "there is no model"),
        (["dce", "--ops", "Nonsense"], "Nonsense"),
    ],
)
def test_bad_input(run: Run, arguments: list[str], told: str) -> None:
    ran = run("check-pass", *arguments)
    assert (ran.code, ran.out) == (2, "") and told in ran.err
