"""Constants with many zeros take fewer bytes, and every output keeps its bits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphopt import load, save
from graphopt.execute import Session
from graphopt.ir import infer_shapes, verify
from graphopt.passes.pruning.store_sparse import StoreSparse
from graphopt.pipeline import Outcome
from graphopt.testing import check_pass, parse_model

ROWS, COLUMNS = 64, 48


def model_of(weight: np.ndarray[Any, Any], *, opset: int = 17) -> ir.Model:
    """y = x w, for a weight [rows, columns] of any type."""
    rows, columns = weight.shape
    model = parse_model(
        f"""agraph (float[n,{rows}] x, float[{rows},{columns}] w) => (float[n,{columns}] y) {{
            y = MatMul(x, w)
        }}""",
        opset=opset,
    )
    place(model, "w", weight)
    return model


def place(model: ir.Model, name: str, array: np.ndarray[Any, Any]) -> None:
    """Make a constant of an input."""
    (value,) = (each for each in model.graph.inputs if each.name == name)
    model.graph.inputs.remove(value)
    value.const_value = ir.tensor(array, name=name)
    model.graph.initializers.add(value)


def sparse(share: float, shape: tuple[int, ...] = (ROWS, COLUMNS)) -> np.ndarray[Any, Any]:
    """Random numbers of which a share is not zero."""
    random = np.random.default_rng(0)
    return np.where(random.random(shape) < share, random.normal(size=shape), 0).astype(np.float32)


def stored(model: ir.Model, least: int = 1) -> tuple[ir.Model, Outcome]:
    made = model.clone()
    infer_shapes(made)
    outcome = StoreSparse(least=least).call(made)
    verify(made)
    return made, outcome


def size(model: ir.Model) -> int:
    return sum(each.const_value.nbytes for each in model.graph.initializers.values() if each.const_value)


def same_bits(before: ir.Model, after: ir.Model) -> bool:
    x = np.random.default_rng(1).normal(size=(3, ROWS)).astype(np.float32)
    return np.array_equal(Session(before).run({"x": x})["y"], Session(after).run({"x": x})["y"])


@pytest.mark.parametrize(
    ("share", "form", "most"),
    [(0.5, "mask of zeros", 0.6), (0.03, "gaps of zeros", 0.12), (0.0, "nothing but zeros", 0.01)],
)
def test_zeros_are_left_out(share: float, form: str, most: float) -> None:
    model = model_of(sparse(share))
    made, outcome = stored(model)
    assert outcome.changes.hits[form] >= 1
    assert size(made) < most * size(model)
    assert same_bits(model, made)


def test_a_mask_of_blocks_is_stored_so_too() -> None:
    weight = np.repeat(sparse(0.3, (4 * ROWS, COLUMNS // 16)), 16, axis=1).reshape(ROWS, -1)
    made, outcome = stored(model_of(weight))
    assert outcome.changes.count == 2
    assert same_bits(model_of(weight), made)


def test_zeros_of_either_sign_are_left_out_of_weights() -> None:
    weight = np.copysign(sparse(0.3), -1)
    made, _ = stored(model_of(weight))
    assert size(made) < 0.4 * weight.nbytes
    assert same_bits(model_of(weight), made)


def test_a_sign_that_matters_is_kept() -> None:
    model = parse_model(
        f"""agraph (float[1] x, float[{ROWS},{COLUMNS}] w) => (float[{ROWS},{COLUMNS}] y) {{
            y = Div(x, w)
        }}"""
    )
    place(model, "w", np.copysign(sparse(0.3), -1))
    made, outcome = stored(model)
    assert outcome.changes.count == 0
    assert np.isneginf(Session(made).run({"x": np.ones(1, np.float32)})["y"]).any()


def test_dense_constants_stay() -> None:
    made, outcome = stored(model_of(sparse(1.0)))
    assert outcome.changes.count == 0 and not outcome.changes.refusals and len(made.graph) == 1


def test_few_zeros_stay_with_the_reason() -> None:
    _, outcome = stored(model_of(sparse(0.97)))
    assert outcome.changes.count == 0
    assert dict(outcome.changes.refusals) == {"a bit for each element takes what its zeros save": 1}


def test_small_savings_are_none() -> None:
    _, outcome = stored(model_of(sparse(0.5)), least=1 << 20)
    assert outcome.changes.count == 0


def test_old_opsets_have_no_form() -> None:
    _, outcome = stored(model_of(sparse(0.5), opset=10))
    assert dict(outcome.changes.refusals) == {"decoding needs opset 11": 1}


def test_what_a_caller_may_override_stays() -> None:
    model = model_of(sparse(0.5))
    model.graph.inputs.append(model.graph.initializers["w"])
    outcome = StoreSparse().call(model)
    assert outcome.changes.count == 0


def test_what_is_an_output_stays() -> None:
    model = model_of(sparse(0.5))
    model.graph.outputs.append(model.graph.initializers["w"])
    _, outcome = stored(model)
    assert dict(outcome.changes.refusals) == {"it is an output of the graph": 1}


def test_what_a_body_reads_stays() -> None:
    model = parse_model(
        f"""agraph (float[n,{ROWS}] x, bool c, float[{ROWS},{COLUMNS}] w) => (float[n,{COLUMNS}] y) {{
            y = If (c) <
                then_branch = yes () => (float[n,{COLUMNS}] a) {{ a = MatMul(x, w) }},
                else_branch = no () => (float[n,{COLUMNS}] b) {{ m = MatMul(x, w) b = Neg(m) }}
            >
        }}"""
    )
    place(model, "w", sparse(0.5))
    _, outcome = stored(model)
    assert dict(outcome.changes.refusals) == {"a body reads it from outside": 1}


def test_what_several_read_is_decoded_once() -> None:
    model = parse_model(
        f"""agraph (float[n,{ROWS}] x, float[{ROWS},{COLUMNS}] w) => (float[n,{COLUMNS}] y) {{
            a = MatMul(x, w)
            b = Neg(w)
            c = MatMul(x, b)
            y = Mul(a, c)
        }}"""
    )
    place(model, "w", sparse(0.5))
    made, outcome = stored(model)
    assert outcome.changes.count == 1
    assert same_bits(model, made)


@given(
    st.sampled_from((np.float32, np.float16, np.float64, np.int8, np.uint8, np.int32, np.int64)),
    st.integers(1, 40),
    st.integers(1, 40),
    st.sampled_from((0.0, 0.01, 0.05, 0.3, 0.6)),
)
@settings(max_examples=25, deadline=None)
def test_any_type_and_size(dtype: type, rows: int, columns: int, share: float) -> None:
    weight: np.ndarray[Any, Any] = (10 * sparse(share, (rows, columns))).astype(dtype)
    text = ir.tensor(weight).dtype.name.lower()
    model = parse_model(
        f"""agraph (float[1] x, {text}[{rows},{columns}] w) => ({text}[{rows},{columns}] y, float[1] z) {{
            y = Identity(w)
            z = Neg(x)
        }}"""
    )
    place(model, "w", weight)
    made, _ = stored(model)
    x = np.ones(1, np.float32)
    assert np.array_equal(Session(made).run({"x": x})["y"], weight)


def test_the_pass_keeps_what_every_pass_must_keep() -> None:
    check_pass(StoreSparse(least=1), model_of(sparse(0.5)))
    check_pass(StoreSparse(least=1), model_of(sparse(0.03)))


def test_the_file_is_smaller_and_the_runtime_decodes_it_at_load(tmp_path: Path) -> None:
    weight = sparse(0.5, (256, 256))
    model, _ = stored(model_of(weight))
    save(model_of(weight), tmp_path / "dense.onnx")
    save(model, tmp_path / "sparse.onnx")
    ratio = (tmp_path / "sparse.onnx").stat().st_size / (tmp_path / "dense.onnx").stat().st_size
    assert ratio < 0.55
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(tmp_path / "loaded.onnx")
    onnxruntime.InferenceSession(str(tmp_path / "sparse.onnx"), options)
    assert [node.op_type for node in load(tmp_path / "loaded.onnx").graph] == ["MatMul"]
