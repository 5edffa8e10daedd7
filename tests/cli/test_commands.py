"""The smaller commands: answers, exit codes and JSON."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from graphopt.ir import Changes, nodes
from graphopt.pipeline import Pass

Run = Callable[..., Any]


@pytest.fixture
def other(model: Path) -> Path:
    """The model with another first constant."""
    proto = onnx.load(model)
    proto.graph.initializer[0].CopyFrom(
        onnx.helper.make_tensor(proto.graph.initializer[0].name, onnx.TensorProto.FLOAT, [4], [1.0, 2, 3, 4])
    )
    path = model.with_name("other.onnx")
    onnx.save(proto, path)
    return path


def test_inspect(run: Run, model: Path) -> None:
    ran = run("inspect", model, "--shape", "x=2x4", "--top", "1")
    assert (ran.code, ran.err) == (0, "")
    assert "FLOAT[N,4]" in ran.out
    assert "Mul 2, Identity 1, Relu 1" in ran.out
    found = json.loads(run("inspect", model, "--json").out)
    assert (found["nodes"], found["inputs"], len(found["cost"]["nodes"])) == (
        4,
        [{"name": "x", "type": "FLOAT[N,4]"}],
        4,
    )


def test_inspect_refuses_shapes_of_what_is_no_input(run: Run, model: Path) -> None:
    ran = run("inspect", model, "--shape", "y=2x4")
    assert ran.code == 2 and "the model has no input 'y'" in ran.err


def test_inspect_lists_every_node_in_order(run: Run, model: Path) -> None:
    names = ["twice", "first", "second", "relu"]
    words = [line.split()[:1] for line in run("inspect", model, "--nodes").out.splitlines()]
    assert [word for (word,) in filter(None, words) if word in names] == names


def test_check(run: Run, model: Path, other: Path) -> None:
    assert run("check", model, model).code == 0
    ran = run("check", model, other)
    assert (ran.code, ran.err) == (1, "")
    assert ran.out.startswith("different: output 'y'")
    found = run("check", model, other, "--json")
    assert (found.code, json.loads(found.out)["equal"]) == (1, False)


def test_check_within_a_tolerance_of_one_s_own(run: Run, model: Path, other: Path) -> None:
    assert run("check", model, other, "--rtol", "1", "--atol", "100").code == 0
    assert run("check", model, other, "--rtol", "1", "--atol", "100", "--exact").code == 1


def test_bench(run: Run, model: Path, other: Path) -> None:
    ran = run("bench", model, other, "--seconds", "0.02", "--shape", "x=3x4")
    assert ran.code == 0
    assert [line.split()[0] for line in ran.out.splitlines()[1:3]] == ["model.onnx", "other.onnx"]
    found = json.loads(run("bench", model, other, "--seconds", "0.02", "--json").out)
    assert found["models"] == [str(model), str(other)] and len(found["median_seconds"]) == 2


def test_bench_names_the_model_of_other_inputs(run: Run, model: Path, tmp_path: Path) -> None:
    text = '<ir_version: 8, opset_import: ["" : 17]> g (int64[N] z) => (int64[N] y) { y = Neg (z) }'
    odd = tmp_path / "odd.onnx"
    ir.save(ir.from_onnx_text(text), odd)
    ran = run("bench", model, odd, "--seconds", "0.02")
    assert (ran.code, ran.out) == (2, "")
    assert f"{odd} does not take the inputs of {model}: input 'x' is missing" in ran.err


def test_diff(run: Run, model: Path, other: Path) -> None:
    same = run("diff", model, model)
    assert (same.code, same.out.splitlines()[0]) == (0, "the same")
    ran = run("diff", model, other)
    assert ran.code == 1 and "weights by name: 1 changed" in ran.out
    assert json.loads(run("diff", model, other, "--json").out)["same"] is False


def test_diff_names_what_was_removed(run: Run, model: Path, tmp_path: Path) -> None:
    after = tmp_path / "after.onnx"
    run("optimize", model, "-o", after, "--no-measure", "--passes", "eliminate-identities")
    ran = run("diff", model, after)
    assert ran.code == 1
    assert "4 -> 3 nodes" in ran.out
    assert "Identity  twice" in ran.out


def test_passes(run: Run) -> None:
    listed = run("passes")
    assert (listed.code, listed.err) == (0, "")
    assert "dce" in listed.out
    assert {"name", "summary", "exact", "options", "group"} <= set(json.loads(run("passes", "--json").out)[0])


def test_every_pass_explains_itself(run: Run) -> None:
    for each in json.loads(run("passes", "--json").out):
        told = run("passes", each["name"])
        assert told.code == 0 and each["summary"] and each["description"], each["name"]


def test_an_unknown_pass(run: Run) -> None:
    ran = run("passes", "dcee")
    assert (ran.code, ran.out) == (2, "")
    assert "did you mean 'dce'" in ran.err


class Breaker(Pass):
    """Make every Relu a Sigmoid, which is wrong."""

    name: ClassVar[str] = "breaker"

    def apply(self, model: ir.Model, changes: Changes) -> None:
        for node in nodes(model):
            if node.op_type == "Relu":
                node.op_type = "Sigmoid"
                changes.add("wrong")


class Raiser(Pass):
    """Raise."""

    name: ClassVar[str] = "raiser"

    def apply(self, model: ir.Model, changes: Changes) -> None:
        raise ZeroDivisionError("on purpose")


def test_bisect(run: Run, model: Path) -> None:
    ran = run("bisect", model)
    assert (ran.code, ran.out) == (0, "no pass breaks the model\n")


@pytest.mark.parametrize(("found", "says"), [(Breaker, "in pass run 2"), (Raiser, "on purpose")])
def test_bisect_finds_the_pass(run: Run, model: Path, found: type[Pass], says: str) -> None:
    passes = f"dce,{found.__module__}:{found.__qualname__},dce"
    ran = run("bisect", model, "--passes", passes)
    assert ran.code == 1
    assert f"{found.name} breaks the model" in ran.out and says in ran.out
    answer = json.loads(run("bisect", model, "--passes", passes, "--json").out)
    assert answer["guilty"]["name"] == found.name


def test_bisect_hints_at_a_command_with_the_same_options(run: Run, model: Path, tmp_path: Path) -> None:
    passes = f"{{dce}}*,cse,{Breaker.__module__}:{Breaker.__qualname__}"
    data = tmp_path / "my data.npz"
    np.savez(data, x=np.ones((7, 4), np.float32))
    ran = run(
        "bisect", model, "--passes", passes, "--inputs", data, "--shape", "x=7x4", "--skip", "cse",
    )  # fmt: skip
    words = shlex.split(ran.err.removeprefix("hint: "))
    assert words == [
        "graphopt", "optimize", str(model), "--passes", passes, "--inputs", str(data), "--shape", "x=7x4",
        "--skip", "cse", "--skip", "breaker",
    ]  # fmt: skip


def test_demo(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ran = run("demo")
    assert (ran.code, ran.err) == (0, "")
    for row in ("nodes", "parameters", "measured", "accuracy"):
        assert any(line.startswith(row) for line in ran.out.splitlines()), row
    assert list(tmp_path.iterdir()) == []
