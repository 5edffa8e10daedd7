"""`graphopt optimize`: what it prints where, what it writes, and what it refuses."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from graphopt.io import save

Run = Callable[..., Any]

HALVED = """<ir_version: 8, opset_import: ["" : 17]>
main (float[N] x) => (float[2,M] y) <int64[2] shape = {2, -1}> { y = Reshape (x, shape) }"""


def write(path: Path, text: str) -> Path:
    ir.save(ir.from_onnx_text(text), path)
    return path


def test_report_to_stdout_and_the_rest_to_stderr(run: Run, model: Path) -> None:
    ran = run("optimize", model, "--no-measure")
    assert ran.code == 0
    label, before, after, *_ = ran.out.splitlines()[1].split()
    assert (label, before) == ("nodes", "4") and int(after) < 4
    assert "\nequal, " in ran.out
    assert "found nothing to do" in ran.out
    assert ran.err.startswith(f"wrote {model.with_suffix('.opt.onnx')} in ")
    assert len(onnx.load(model.with_suffix(".opt.onnx")).graph.node) == int(after)


def test_measures_by_default(run: Run, model: Path) -> None:
    ran = run("optimize", model)
    assert ran.code == 0
    assert any(line.startswith("measured") and "1 thread" in line for line in ran.out.splitlines())


def test_json_is_all_of_stdout(run: Run, model: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    ran = run("optimize", model, "-o", tmp_path / "out.onnx", "--no-measure", "--json", "--report", report)
    assert (ran.code, ran.err) == (0, "")
    printed = json.loads(ran.out)
    assert printed["before"]["nodes"] == 4 > printed["after"]["nodes"]
    assert printed["check"]["equal"] is True
    assert json.loads(report.read_text("utf-8")) == printed


@pytest.mark.parametrize("spelling", [["-O1"], ["-O", "1"]])
def test_levels_are_spelled_like_a_compiler_s(run: Run, model: Path, spelling: list[str]) -> None:
    ran = run("optimize", model, *spelling, "--no-measure", "--json")
    assert json.loads(ran.out)["candidates"] == []
    assert "fuse-conv" not in json.loads(ran.out)["pipeline"]


def test_a_pipeline_and_a_pass_skipped(run: Run, model: Path) -> None:
    ran = run(
        "optimize",
        model,
        "--passes",
        "eliminate-identities,{cse,dce}*",
        "--skip",
        "cse",
        "--no-measure",
        "--json",
    )
    assert json.loads(ran.out)["pipeline"] == "eliminate-identities,{dce}*"


def test_over_the_model_itself(run: Run, model: Path) -> None:
    assert run("optimize", model, "-o", model, "--no-measure").code == 0
    assert len(onnx.load(model).graph.node) < 4


def test_the_null_device_takes_no_file(run: Run, model: Path) -> None:
    ran = run("optimize", model, "--no-measure", "-o", os.devnull)
    assert ran.code == 0
    assert ran.err.startswith("wrote nothing in ")
    assert list(model.parent.iterdir()) == [model]


def test_names_the_data_file_and_the_one_no_longer_used(run: Run, model: Path, tmp_path: Path) -> None:
    loaded = ir.load(model)
    weights = ir.tensor(np.arange(1, 4097, dtype=np.float32), name="scale")
    loaded.graph.initializers["scale"].const_value = weights
    loaded.graph.initializers["again"].const_value = weights
    for value in (*loaded.graph.inputs, *loaded.graph.outputs):
        value.shape = ir.Shape(["N", 4096])
    save(loaded, model, external_data=True)
    ran = run("optimize", model, "-o", tmp_path / "out.onnx", "--no-measure", "--passes", "dce")
    assert ran.err.startswith(f"wrote {tmp_path}/out.onnx and {tmp_path}/out.onnx.data in ")
    ran = run("optimize", model, "-o", model, "--no-measure")
    assert ran.err.startswith(f"wrote {model} in ")
    assert "note: model.onnx.data is no longer used by model.onnx" in ran.out
    assert Path(f"{model}.data").exists()


def test_own_inputs(run: Run, model: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", x=np.ones((7, 4), np.float32))
    ran = run("optimize", model, "--inputs", tmp_path / "data.npz", "--no-measure", "--json")
    (only,) = json.loads(ran.out)["check"]["input_sets"]
    assert "7" in str(only["inputs"]["x"])


def test_print_after_and_dump_dir(run: Run, model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "dumps"
    ran = run(
        "optimize", model, "--passes", "dce,eliminate-identities", "--no-measure", "--json",
        "--print-after", "eliminate-identities", "--dump-dir", folder,
    )  # fmt: skip
    assert json.loads(ran.out)
    assert ran.err.splitlines()[0] == "# after eliminate-identities, step 2"
    assert "return %y" in ran.err
    assert [path.name for path in folder.iterdir()] == ["002-eliminate-identities.onnx"]


def test_print_after_and_dump_dir_say_what_there_was(run: Run, model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "dumps"
    ran = run(
        "optimize", model, "--passes", "dce,eliminate-identities,cse", "--no-measure",
        "--print-after", "dce", "--dump-dir", folder,
    )  # fmt: skip
    assert ran.err.splitlines()[:2] == ["# dce changed nothing", f"wrote 1 model to {folder}"]


def test_a_typo_is_answered_by_the_nearest_name(run: Run, model: Path) -> None:
    for option in ("--skip", "--print-after"):
        ran = run("optimize", model, option, "fuse-cnv")
        assert ran.code == 2 and "did you mean 'fuse-conv'?" in ran.err
        ran = run("optimize", model, "-O1", option, "fuse-conv")
        assert ran.code == 2 and "did you mean" not in ran.err


@dataclasses.dataclass(frozen=True)
class Bad:
    """Arguments after the model, and a word of the error."""

    arguments: tuple[str, ...]
    says: str


@pytest.mark.parametrize(
    "bad",
    [
        Bad(("-o", "no/such/folder/x.onnx"), "no folder"),
        Bad(("-o", "."), "folder"),
        Bad(("-o", "-"), "stdout"),
        Bad(("--report", "-"), "stdout"),
        Bad(("--report", "no/such/folder/x.json"), "no folder"),
        Bad(("--passes", "dce,nonsense"), "nonsense"),
        Bad(("--passes", "{dce"), "pipeline"),
        Bad(("--skip", "nonsense"), "nonsense"),
        Bad(("--target", "nonsense"), "nonsense"),
        Bad(("--shape", "x"), "--shape"),
        Bad(("--shape", "nonsense=1x4"), "nonsense"),
        Bad(("--shape", "x=1x5"), "x"),
        Bad(("--inputs", "nothing.npz"), "nothing.npz"),
        Bad(("--shape", "x=0x4"), "at least 1"),
        Bad(("--opset", "new"), "--opset"),
        Bad(("--print-after", "nonsense"), "nonsense"),
    ],
    ids=lambda bad: " ".join(bad.arguments),
)
def test_bad_options(run: Run, model: Path, monkeypatch: pytest.MonkeyPatch, bad: Bad) -> None:
    monkeypatch.chdir(model.parent)
    ran = run("optimize", model, *bad.arguments)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("error: ") and bad.says in ran.err
    assert "Traceback" not in ran.err and "unexpected" not in ran.err
    assert [path.name for path in model.parent.iterdir()] == ["model.onnx"]


def test_inputs_that_the_original_cannot_run(run: Run, tmp_path: Path) -> None:
    path = write(tmp_path / "m.onnx", HALVED)
    np.savez(tmp_path / "odd.npz", x=np.ones(3, np.float32))
    for given in (["--inputs", tmp_path / "odd.npz"], ["--shape", "x=3"]):
        ran = run("optimize", path, *given, "--no-measure")
        assert (ran.code, ran.out) == (2, "")
        assert "--no-check" in ran.err
        assert run("optimize", path, *given, "--no-measure", "--no-check").code == 0


def test_inputs_and_shapes_that_contradict(run: Run, model: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", x=np.ones((7, 4), np.float32))
    given = ["--inputs", tmp_path / "data.npz", "--no-measure", "--shape"]
    assert run("optimize", model, *given, "x=7x4").code == 0
    for arguments in (["optimize", model], ["check", model, model], ["bench", model], ["bisect", model]):
        ran = run(*arguments, *(each for each in given if each != "--no-measure"), "x=8x4")
        assert (ran.code, ran.out) == (2, "")
        assert "'x' is 8x4, but the inputs of data.npz have 7x4" in ran.err


def test_a_level_that_is_none(run: Run, model: Path) -> None:
    ran = run("optimize", model, "-O3")
    assert (ran.code, ran.out) == (2, "")
    assert "-O" in ran.err


@pytest.mark.parametrize("content", [b"", b"\x08\x08", b"not a model at all", bytes(range(256)) * 9])
def test_bad_files(run: Run, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.onnx"
    path.write_bytes(content)
    ran = run("optimize", path)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("error: ") and "unexpected" not in ran.err
    assert [path.name for path in tmp_path.iterdir()] == ["bad.onnx"]


def test_a_missing_file(run: Run, tmp_path: Path) -> None:
    ran = run("optimize", tmp_path / "none.onnx")
    assert ran.code == 2 and "none.onnx" in ran.err


def test_interrupted_leaves_nothing_behind(run: Run, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("graphopt.compile.driver.save", interrupt)
    ran = run("optimize", model, "--no-measure")
    assert (ran.code, ran.out, ran.err) == (130, "", "interrupted\n")
    assert [path.name for path in model.parent.iterdir()] == ["model.onnx"]
