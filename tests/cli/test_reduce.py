"""`graphopt reduce`: what counts as the same failure, what is said, and what an interruption leaves."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from graphopt.testing import parse_model
from graphopt.testing.reduce.folder import WorkFolder

Run = Callable[..., Any]

MODEL = """
main (float[2,3] x) => (float[2,3] y, float[2,3] z) {
    a = Relu(x) b = Sigmoid(a) c = Abs(b) y = Exp(c) d = Sin(a) z = Mul(d, c)
}"""

CRASH = """sh -c 'if grep -q Sigmoid "$0"; then echo boom; kill -SEGV $$; fi' {}"""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.onnx"
    ir.save(parse_model(MODEL), path)
    return path


def operators(path: Path) -> list[str]:
    return [node.op_type for node in onnx.load(path).graph.node]


def test_a_crash(run: Run, model: Path) -> None:
    out = model.with_suffix(".reduced.onnx")
    ran = run("reduce", model, "--cmd", CRASH)
    assert ran.code == 0
    assert operators(out) == ["Sigmoid"]
    assert ran.out.startswith("6 -> 1 nodes, 0 B -> 0 B of constants, in ")
    assert "y0 = Sigmoid (x0)" in ran.out
    assert "dies of SIGSEGV" in ran.err
    assert f"wrote {out}\n" in ran.err
    assert f"reproduce: sh -c 'if grep -q Sigmoid \"$0\"; then echo boom; kill -SEGV $$; fi' {out}" in ran.err
    assert {path.name for path in model.parent.iterdir()} == {"model.onnx", "model.reduced.onnx"}


def test_a_test_script_that_succeeds(run: Run, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "small.onnx"
    ran = run("reduce", model, "--cmd", "grep -q Sin", "-o", out, "--jobs", 1)
    assert ran.code == 0
    assert "exits with 0 on the model, so it is taken as a test script" in ran.err
    assert operators(out) == ["Sin"]


def test_a_text_beside_the_status(run: Run, model: Path) -> None:
    script = "sh -c 'grep -q Exp $0 && echo this is it >&2; exit 3' {}"
    ran = run("reduce", model, "--cmd", script, "--match", "this is it")
    assert "exits with 3 and prints 'this is it'" in ran.err
    assert operators(model.with_suffix(".reduced.onnx")) == ["Exp"]


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (
            "sh -c 'echo such a thing >&2; exit 3'",
            "exits with 3 on plain models as well; it says: such a thing",
        ),
        (f"{sys.executable} failz.py", "exits with 2 on plain models as well; it says: {python}: can't open"),
        ("false", "exits with 1 on plain models as well\n"),
        ("true", "exits with 0 on plain models as well\n"),
    ],
)
def test_a_command_to_which_any_model_is_alike(run: Run, model: Path, command: str, says: str) -> None:
    ran = run("reduce", model, "--cmd", command)
    assert ran.code == 1
    assert f"warning: any model does: is it the command? It {says.format(python=sys.executable)}" in ran.err
    assert len(operators(model.with_suffix(".reduced.onnx"))) <= 1
    told = json.loads(run("reduce", model, "--cmd", command, "--json").out)
    assert (told["any_model"], told["holds"], told["steady"]) == (True, True, True)


def test_a_failure_of_each_identity_is_one(run: Run, model: Path) -> None:
    ran = run("reduce", model, "--cmd", "sh -c '! grep -q Neg $0' {}")
    assert ran.code == 0 and "any model does" not in ran.err
    told = json.loads(run("reduce", model, "--cmd", CRASH, "--json").out)
    assert (told["any_model"], told["holds"], told["steady"]) == (False, True, True)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("grep Sin {} | grep Sin", "'|'"),
        ("grep -c Sin {} 2>&1 >/dev/null && true", "'2>&1' and '>/dev/null' and '&&'"),
    ],
)
def test_what_is_there_for_a_shell(run: Run, model: Path, command: str, words: str) -> None:
    ran = run("reduce", model, "--cmd", command)
    assert f"hint: no shell runs the command, which gets {words} as they are; " in ran.err
    assert "no shell" not in run("reduce", model, "--cmd", "sh -c 'grep Sin $0 | grep Sin' {}").err


def test_a_command_that_comes_and_goes(run: Run, model: Path, tmp_path: Path) -> None:
    script = f"sh -c 'echo >> {tmp_path}/log; grep -q Sin $0 && test $(wc -l < {tmp_path}/log) != 2' {{}}"
    ran = run("reduce", model, "--cmd", script, "--jobs", 1)
    assert "exits with 0 on the model, and ended otherwise on it when it ran again" in ran.err
    assert "hint: a command that does not always fail alike" in ran.err
    assert ran.code == 0  # it does so on what was written


def test_json(run: Run, model: Path) -> None:
    ran = run("reduce", model, "--cmd", CRASH, "--json")
    told = json.loads(ran.out)
    assert told["nodes"] == {"before": 6, "after": 1}
    assert told["status"] == -signal.SIGSEGV
    assert told["holds"] is True
    assert "Sigmoid" in told["text"]


def test_too_slow_is_another_failure(run: Run, model: Path) -> None:
    script = "sh -c 'grep -q Sin $0 || sleep 60' {}"
    ran = run("reduce", model, "--cmd", script, "--timeout", 0.5)
    assert ran.code == 0
    assert operators(model.with_suffix(".reduced.onnx")) == ["Sin"]


def test_too_slow_is_the_failure_where_the_original_is(run: Run, model: Path) -> None:
    script = "sh -c 'if grep -q Sin $0; then sleep 60; fi' {}"
    ran = run("reduce", model, "--cmd", script, "--timeout", 0.5)
    assert "does not end in time on the model" in ran.err
    assert operators(model.with_suffix(".reduced.onnx")) == ["Sin"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--cmd", "grep Sin", "--match", "boom"], "'boom' is not in its output"),
        (["--cmd", "no-such-program-here {}"], "there is no program 'no-such-program-here'"),
        (["--cmd", ""], "--cmd is empty"),
        (["--cmd", "sh -c 'open"], "No closing quotation"),
        (["--cmd", "true", "-o", "missing/folder/out.onnx"], "there is no folder"),
    ],
)
def test_bad_options(run: Run, model: Path, options: list[str], message: str) -> None:
    ran = run("reduce", model, *options)
    assert ran.code == 2
    assert ran.err.startswith("error: ")
    assert message in ran.err
    assert [path.name for path in model.parent.iterdir()] == ["model.onnx"]


def test_over_the_model_itself(run: Run, model: Path) -> None:
    ran = run("reduce", model, "--cmd", "true", "-o", model)
    assert ran.code == 2
    assert "is the model to be reduced" in ran.err


def test_a_failure_of_the_bytes_of_a_file(run: Run, model: Path) -> None:
    model.write_bytes(model.read_bytes() + b"\xfa\x3f\x04just")  # a field that nobody knows
    ran = run("reduce", model, "--cmd", "grep -q just")
    assert ran.code == 2
    assert "not once the model has been read and written" in ran.err


def test_a_command_that_does_not_fail_alike(run: Run, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.onnx"
    ran = run("reduce", model, "--cmd", f"sh -c 'test $0 != {out}' {{}}", "-o", out)
    assert ran.code == 1
    assert "ends otherwise" in ran.err


def test_weights_in_a_file_of_their_own(run: Run, tmp_path: Path) -> None:
    w = np.ones((1200, 1200), np.float32)
    graph = onnx.helper.make_graph(
        [
            onnx.helper.make_node("MatMul", ["x", "w"], ["a"]),
            onnx.helper.make_node("Sigmoid", ["a"], ["b"]),
            onnx.helper.make_node("Exp", ["b"], ["y"]),
        ],
        "main",
        [onnx.helper.make_tensor_value_info("x", 1, [2, 1200])],
        [onnx.helper.make_tensor_value_info("y", 1, [2, 1200])],
        [onnx.numpy_helper.from_array(w, "w")],
    )
    opsets = [onnx.helper.make_opsetid("", 18)]
    model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=9)
    path = tmp_path / "model.onnx"
    onnx.save(model, path, save_as_external_data=True, location="model.data")
    before = (tmp_path / "model.data").read_bytes()
    script = (
        'grep -q MatMul "$0" && if grep -q weights.data "$0"; then test -e "$(dirname "$0")/weights.data"; fi'
    )
    ran = run("reduce", path, "--cmd", shlex.join(["sh", "-c", script]))
    assert ran.code == 0, ran.err
    assert operators(tmp_path / "model.reduced.onnx") == ["MatMul"]
    assert (tmp_path / "model.data").read_bytes() == before


HELD = """sh -c 'echo >> {log}; while [ $(wc -l < {log}) -gt 12 ] && [ ! -e {go} ]; do sleep 0.02; done
if grep -q Tanh "$0"; then exit 7; fi' {{}}"""
"""Its first answers come at once, those behind them not before there is a file `go`."""


def chain(path: Path) -> Path:
    ops = ["Relu", "Sigmoid", "Abs", "Exp", "Sin", "Neg"]
    lines = [f"v{index + 1} = {ops[index % 6]}(v{index})" for index in range(40)]
    lines[23] = "v24 = Tanh(v23)"
    ir.save(parse_model(f"main (float[2] v0) => (float[2] v40) {{ {' '.join(lines)} }}"), path)
    return path


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_an_interrupted_reduction_goes_on(run: Run, tmp_path: Path, number: signal.Signals) -> None:
    model, out, log = chain(tmp_path / "model.onnx"), tmp_path / "out.onnx", tmp_path / "log"
    go, state = tmp_path / "go", tmp_path / "out.onnx.reduce" / "answers.json"
    command = HELD.format(log=log, go=go)
    arguments = ["reduce", str(model), "--cmd", command, "-o", str(out)]
    process = subprocess.Popen(
        [sys.executable, "-m", "graphopt", *arguments], stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    answered = 0
    while answered < 5 and process.poll() is None and time.monotonic() < deadline:
        answered = len(json.loads(state.read_text())["answers"]) if state.exists() else 0
        time.sleep(0.02)
    process.send_signal(number)
    _, err = process.communicate()
    go.touch()
    if number == signal.SIGINT:
        assert process.returncode == 130
        assert "--resume goes on from there" in err
        assert "Tanh" in operators(out)
    before = len(log.read_text())

    ran = run(*arguments, "--resume")
    assert ran.code == 0, ran.err
    assert operators(out) == ["Tanh"]
    assert not state.parent.exists()
    again = len(log.read_text()) - before

    log.unlink()
    whole = run("reduce", model, "--cmd", command, "-o", tmp_path / "whole.onnx", "--jobs", 1)
    assert whole.code == 0
    assert (tmp_path / "whole.onnx").read_bytes() == out.read_bytes()
    assert answered >= 5
    # The original and the outcome are run again, and what was under way when it ended.
    assert again <= len(log.read_text()) - answered + 6


def test_the_state_of_another_reduction_is_not_taken(run: Run, model: Path, tmp_path: Path) -> None:
    state = tmp_path / "model.reduced.onnx.reduce" / "answers.json"
    state.parent.mkdir()
    state.write_text('{"format": "graphopt-reduce-1", "model": "", "question": "", "answers": {}}')
    ran = run("reduce", model, "--cmd", CRASH, "--resume")
    assert ran.code == 2
    assert "belongs to another model or another question" in ran.err
    state.write_text("{")
    assert "is no state of a reduction" in run("reduce", model, "--cmd", CRASH, "--resume").err
    assert run("reduce", model, "--cmd", CRASH).code == 0
    assert not state.parent.exists()


def test_nothing_to_resume_from(run: Run, model: Path) -> None:
    ran = run("reduce", model, "--cmd", CRASH, "--resume")
    assert ran.code == 0
    assert "this is one from the start" in ran.err


@pytest.mark.skipif(os.name != "posix", reason="locks of files")
def test_two_reductions_to_one_file(run: Run, model: Path) -> None:
    out = model.with_suffix(".reduced.onnx")
    with WorkFolder(out, resume=False) as folder:
        ran = run("reduce", model, "--cmd", CRASH)
        assert ran.code == 2
        assert f"another process is at work in {str(folder.path)!r}" in ran.err
    assert run("reduce", model, "--cmd", CRASH).code == 0
