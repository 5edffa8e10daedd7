"""`graphopt plan MODEL`: figures, files, and what cannot be planned."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

import graphopt
from graphopt.execute import Session
from graphopt.io import load, save
from graphopt.ir import Changes
from graphopt.passes.memory.fit_memory import FitMemory
from graphopt.report.memory import PLAN_KEY
from graphopt.testing import parse_model

Run = Callable[..., Any]
WIDE = """g (float[N] x) => (float[1] y) <int64[1] axis = {0}, int64[2] t = {64, 1}> {
    a = Expand(x, t) b = Expand(x, t) c = Expand(x, t)
    d = ReduceSum<keepdims = 0>(a) e = ReduceSum<keepdims = 0>(b) f = ReduceSum<keepdims = 0>(c)
    h = Sum(d, e, f) y = Unsqueeze(h, axis) }"""


@pytest.fixture
def wide(tmp_path: Path) -> Path:
    save(parse_model(WIDE), tmp_path / "wide.onnx")
    return tmp_path / "wide.onnx"


def test_tables(run: Run, wide: Path) -> None:
    ran = run("plan", str(wide), "--shape", "x=16")
    assert (ran.code, ran.err) == (0, "")
    assert "4.29 kB" in ran.out and "-65% by another order" in ran.out and "no order needs less" in ran.out


def test_json(run: Run, wide: Path) -> None:
    ran = run("plan", str(wide), "--shape", "x=16", "--json")
    found = json.loads(ran.out)
    assert found["arena"] == found["lower_bound"] == 4288 and found["optimal"] and found["best_order"]
    assert found["given_order_bytes"] == 3 * 4096 + 64
    assert found["peak"]["alive"][0]["size"] == 4096
    assert set(found["offsets"]) == set("xabcdefhy")
    assert found["live"]["x"] == [0, 5] and found["live"]["y"] == [7, 8]


def test_the_order_is_kept_where_that_is_asked_for(run: Run, wide: Path) -> None:
    found = json.loads(run("plan", str(wide), "--shape", "x=16", "--order", "keep", "--json").out)
    assert found["arena"] == found["given_order_bytes"] and found["any_order_lower_bound"] < found["arena"]


def test_assumed_sizes_are_told(run: Run, wide: Path) -> None:
    assert "sizes assume N=1" in run("plan", str(wide)).out


def test_files(run: Run, wide: Path, tmp_path: Path) -> None:
    header, drawing, model = tmp_path / "a.h", tmp_path / "a.svg", tmp_path / "a.onnx"
    ran = run(
        *("plan", str(wide), "--shape", "x=16", "--emit-c", str(header)),
        *("--timeline", str(drawing), "-o", str(model)),
    )
    assert ran.code == 0 and ran.err.count("wrote") == 3
    assert "#define WIDE_ARENA_BYTES UINT32_C(4288)" in header.read_text("utf-8")
    assert re.search(r"#define WIDE_OFFSET_h UINT32_C\(\d+\)", header.read_text("utf-8"))
    boxes = ET.fromstring(drawing.read_text("utf-8")).findall(".//{*}rect/{*}title")
    assert any("4096 bytes" in (box.text or "") for box in boxes)
    written = load(model)
    assert json.loads(written.metadata_props[PLAN_KEY])["arena"] == 4288
    assert [node.op_type for node in written.graph][:4] == ["Expand", "ReduceSum", "Expand", "ReduceSum"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--order", "worst"), "expected one of best, keep"),
        (("--timeline", "a.png"), "drawings are SVG"),
        (("--shape", "x=2x2"), "was given"),
    ],
)
def test_bad_usage(run: Run, wide: Path, arguments: tuple[str, ...], message: str) -> None:
    ran = run("plan", str(wide), *arguments)
    assert ran.code == 2 and message in ran.err


def test_a_value_without_a_size_is_named(run: Run, tmp_path: Path) -> None:
    model = parse_model("g (string[4] x) => (string[4] y) { y = Identity(x) }")
    save(model, tmp_path / "texts.onnx")
    ran = run("plan", str(tmp_path / "texts.onnx"))
    assert ran.code == 2 and "'x' is of type" in ran.err


def test_sizes_that_data_decide_are_those_of_a_run(run: Run, tmp_path: Path) -> None:
    model = parse_model("g (float[8] x) => (int64[A, B] y) { a = NonZero(x) y = Neg(a) }")
    save(model, tmp_path / "found.onnx")
    ran = run("plan", str(tmp_path / "found.onnx"))
    assert ran.code == 0 and "those of one run" in ran.out


def test_sizes_in_bodies_are_those_of_a_run(run: Run, tmp_path: Path) -> None:
    model = parse_model("""g (float[N] x, bool c) => (float[A, B] y) { p = NonZero(x)
        y = If (c) <then_branch = t () => (float[C, D] q) { r = Cast<to = 1>(p) q = Neg(r) },
            else_branch = e () => (float[E, F] u) {
                k = Constant<value_ints = [7, 1]>() v = Reshape(p, k) u = Cast<to = 1>(v) }> }""")
    save(model, tmp_path / "branches.onnx")
    ran = run("plan", str(tmp_path / "branches.onnx"), "--shape", "x=64")
    told = " ".join(ran.out.split())
    assert ran.code == 0 and "those of one run" in told and "cannot run on these inputs" in told


def test_functions_are_inlined(run: Run, tmp_path: Path) -> None:
    text = """<ir_version: 9, opset_import: ["" : 18, "own" : 1]>
        g (float[64] x) => (float[64] y) { y = own.twice(x) }
        <domain: "own", opset_import: ["" : 18]> twice (a) => (c) { b = Add(a, a) c = Exp(b) }"""
    model: ir.Model = parse_model(text)
    save(model, tmp_path / "calls.onnx")
    assert json.loads(run("plan", str(tmp_path / "calls.onnx"), "--json").out)["arena"] == 256


TALL = """g (float[1, 2, 64, 64] x) => (float[1, 2, 1, 1] y) <float[2, 2, 1, 1] w = {1, 2, 3, 4}> {
    a = Conv(x, w) b = MaxPool<kernel_shape = [8, 8], strides = [8, 8]>(a) y = GlobalAveragePool(b) }"""


def test_a_budget_is_kept_by_tiles(run: Run, tmp_path: Path) -> None:
    save(parse_model(TALL), tmp_path / "tall.onnx")
    arguments = ("plan", str(tmp_path / "tall.onnx"), "--max-memory", "40KiB")
    found = json.loads(run(*arguments, "--json").out)
    budget = found["budget"]
    assert found["arena"] <= 40 << 10 and budget["fits"] and budget["macs"] == [16384, 16384]
    assert budget["same"] == "bit for bit" and budget["done"] and not budget["blocks"]
    told = " ".join(run(*arguments).out.split())
    assert "allowed 41.0 kB 40960 kept" in told and "outputs are the same" in told


def test_what_is_written_is_what_was_planned(run: Run, tmp_path: Path) -> None:
    save(parse_model(TALL), tmp_path / "tall.onnx")
    given, written = tmp_path / "tall.onnx", tmp_path / "less.onnx"
    assert run("plan", str(given), "--max-memory", "40KiB", "-o", str(written)).code == 0
    again = json.loads(run("plan", str(written), "--order", "keep", "--json").out)
    assert again["arena"] <= 40 << 10
    image = np.random.default_rng(0).standard_normal((1, 2, 64, 64), dtype=np.float32)
    outputs = [Session(load(path)).run({"x": image})["y"] for path in (given, written)]
    np.testing.assert_array_equal(*outputs)


def test_free_sizes_are_fixed_by_the_user_alone(run: Run, tmp_path: Path) -> None:
    free = tmp_path / "free.onnx"
    save(parse_model(TALL.replace("1, 2, 64, 64", "N, 2, H, W")), free)
    ran = run("plan", str(free), "--max-memory", "40KiB")
    assert ran.code == 1 and "to fix them: --shape x=1x2x224x224" in " ".join(ran.out.split())
    arguments = ("plan", str(free), "--max-memory", "40KiB", "--shape", "x=1x2x64x64")
    ran = run(*arguments, "-o", str(tmp_path / "fixed.onnx"))
    assert ran.code == 0 and "the sizes of x are fixed now" in ran.out
    assert load(tmp_path / "fixed.onnx").graph.inputs[0].shape == [1, 2, 64, 64]


def test_a_changed_model_that_gives_other_outputs_is_not_written(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoil(self: FitMemory, model: ir.Model, changes: Changes) -> None:
        apply(self, model, changes)
        for node in model.graph:
            if node.op_type == "MaxPool":
                node.op_type = "AveragePool"

    apply = FitMemory.apply
    monkeypatch.setattr(FitMemory, "apply", spoil)
    save(parse_model(TALL), tmp_path / "tall.onnx")
    ran = run("plan", str(tmp_path / "tall.onnx"), "--max-memory", "40KiB", "-o", str(tmp_path / "y.onnx"))
    assert ran.code == 1 and "gave other outputs" in " ".join(ran.out.split())
    assert [node.op_type for node in load(tmp_path / "y.onnx").graph].count("MaxPool") == 1


def test_a_budget_that_cannot_be_kept(run: Run, tmp_path: Path) -> None:
    save(parse_model(TALL), tmp_path / "tall.onnx")
    ran = run("plan", str(tmp_path / "tall.onnx"), "--max-memory", "1.5KiB")
    told = " ".join(ran.out.split())
    assert ran.code == 1 and "not kept" in told and "at a time: 'x' (32.8 kB)" in told
    assert run("plan", str(tmp_path / "tall.onnx"), "--max-memory", "much").code == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--buffers", "b.csv", "--max-memory", "100"], "--max-memory is not for --buffers"),
        (["--buffers", "b.csv", "--timeline", "t.svg"], "--timeline is not for --buffers"),
        (["model.onnx", "--capacity", "100"], "--capacity is not for a model"),
        (["model.onnx", "--shape", "y=1x3"], "the model has no input 'y'"),
    ],
)
def test_options_that_do_not_apply(run: Run, wide: Path, options: list[str], message: str) -> None:
    ran = run("plan", *[str(wide) if each == "model.onnx" else each for each in options])
    assert ran.code == 2 and message in ran.err


def test_nodes_without_a_name_are_called_by_what_they_make(run: Run, wide: Path) -> None:
    found = json.loads(run("plan", str(wide), "--shape", "x=16", "--json").out)
    assert set(found["order"]) == set("abcdefhy")
    assert found["sizes"]["a"] == 4096


def test_what_cannot_fit_is_not_searched(run: Run, tmp_path: Path) -> None:
    (tmp_path / "b.csv").write_text(
        "id,lower,upper,size\n" + "".join(f"{i},{i},{i + 3},{9 + i % 7}\n" for i in range(60))
    )
    ran = run("plan", "--buffers", str(tmp_path / "b.csv"), "--capacity", "9", "--json")
    found = json.loads(ran.out)
    assert ran.code == 1 and not found["fits"] and found["lower_bound"] > 9 and found["seconds"] < 10


def test_what_programs_take_is_told_apart(run: Run, tmp_path: Path) -> None:
    numbers = ", ".join(map(str, np.random.default_rng(0).integers(-50, 50, 32 * 32)))
    model = parse_model(
        f"""g (uint8[64,32] x) => (uint8[64,32] y)
        <float s = {{0.02}}, uint8 z = {{128}}, float r = {{0.01}}, int8 v = {{0}},
        int8[32,32] w = {{{numbers}}}> {{
            d = DequantizeLinear(x, s, z)  f = DequantizeLinear(w, r, v)  m = MatMul(d, f)
            q = QuantizeLinear(m, s, z)  e = DequantizeLinear(q, s, z)  n = MatMul(e, f)
            y = QuantizeLinear(n, s, z) }}"""
    )
    path = tmp_path / "program.onnx"
    graphopt.optimize(model, target="native", measure=False, output=path)
    told = " ".join(run("plan", str(path)).out.split())
    assert "its programs take an arena of their own besides" in told
