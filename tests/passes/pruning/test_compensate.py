"""Fitting a pruned model: one walk through both models, parts of unlike samples, and what holds for all."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import pytest

from graphopt.execute import Session
from graphopt.ir import infer_shapes
from graphopt.passes.pruning import _walk
from graphopt.passes.pruning._compensate import compensate
from graphopt.passes.pruning._parts import parts
from graphopt.passes.pruning._walk import Walk
from graphopt.pruning.compensation import PARTS, Fit
from graphopt.testing import parse_model

RNG = np.random.default_rng(2)
SAMPLES = [{"x": RNG.normal(size=(16, 6)).astype(np.float32)} for _ in range(20)]
BRANCHES = """a = MatMul(x, w1) b = Relu(a) c = MatMul(b, w2) d = Add(c, x) e = Relu(d) f = MatMul(e, w3)
    g = Add(f, d) y = MatMul(g, w4)"""


def model_of(body: str = BRANCHES, seed: int = 0) -> ir.Model:
    """Four products; the second and third end in sums with what runs past them."""
    model = parse_model(
        "agraph (float[16,6] x, float[6,6] w1, float[6,6] w2, float[6,6] w3, float[6,6] w4)"
        f" => (float[16,6] y) {{ {body} }}"
    )
    random = np.random.default_rng(seed)
    for value in list(model.graph.inputs)[1:]:
        value.const_value = ir.tensor(random.normal(size=(6, 6)).astype(np.float32) / 2, name=value.name)
        model.graph.inputs.remove(value)
        model.graph.register_initializer(value)
    infer_shapes(model)
    return model


def node(model: ir.Model, name: str) -> ir.Node:
    """That makes a value."""
    return next(node for node in model.graph if node.outputs[0].name == name)


def change(model: ir.Model, weight: str, noise: float) -> None:
    """Have a weight be off."""
    value = model.graph.initializers[weight]
    assert value.const_value is not None
    array = value.const_value.numpy()
    off = np.random.default_rng(4).normal(size=array.shape).astype(np.float32)
    value.const_value = ir.tensor(array + noise * off, name=weight)


def error(one: ir.Model, other: ir.Model) -> float:
    """Noise over signal on inputs that nothing was fitted to."""
    x = np.random.default_rng(9).normal(size=(16, 6)).astype(np.float32)
    expected, actual = (Session(each).run({"x": x})["y"] for each in (one, other))
    return float(np.sum((expected - actual) ** 2) / np.sum(expected**2))


@pytest.mark.parametrize("most", [1 << 30, 1500])
def test_a_walk_finds_what_a_run_finds(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_walk, "MOST_HELD", most * len(SAMPLES))
    model = model_of()
    walk = Walk(model, SAMPLES, 1)
    full = Session(model, extra_outputs=["c", "d", "e", "f", "g"])
    for step, names in (("a", ["c", "d"]), ("d", ["e", "g", "d"]), ("f", ["g", "y"])):
        walk.advance(node(model, step))
        for sample, found in zip(SAMPLES, walk.values(names), strict=True):
            expected = full.run(sample)
            for name in names:
                np.testing.assert_allclose(found[name], expected[name], rtol=1e-5, atol=1e-6)


def test_weights_ahead_may_change_on_the_way() -> None:
    model = model_of()
    walk = Walk(model, SAMPLES, 1)
    walk.advance(node(model, "d"))
    change(model, "w4", 1.0)
    expected = Session(model).run(SAMPLES[0])["y"]
    np.testing.assert_allclose(next(walk.values(["y"]))["y"], expected, rtol=1e-5, atol=1e-5)


def test_later_layers_repair_what_a_stream_brings_along() -> None:
    whole, broken, fitted = model_of(), model_of(), model_of()
    for model in (broken, fitted):
        change(model, "w2", 0.2)
    parted = [index % 2 for index in range(len(SAMPLES))]
    gone = {("c", -1): np.zeros(0, np.int64)}
    count = compensate(
        fitted, whole, gone, SAMPLES, parted, rows=1024, threads=1, tell=lambda done, total: None
    )
    assert count == 2  # what comes before the error is left as it is
    assert error(whole, fitted) < 0.5 * error(whole, broken)


def test_samples_of_two_kinds_are_parted_by_kind() -> None:
    far = np.zeros(6, np.float32)
    far[0] = 9.0
    samples = [{"x": each["x"] + far * (index % 3 == 0)} for index, each in enumerate(SAMPLES[:18])]
    found = parts(model_of(), samples, 1, 2)
    assert sum(found) == 9
    kinds = {tuple(found[0::3])}
    assert kinds in ({(0,) * 6}, {(1,) * 6})


def test_few_samples_take_turns() -> None:
    assert parts(model_of(), SAMPLES[:3], 1, 2) == [0, 1, 0]
    assert parts(model_of(), SAMPLES[:6], 1, 4) == [0, 1, 2, 3, 0, 1]


def test_samples_that_nothing_tells_apart_take_turns() -> None:
    assert parts(model_of(), [SAMPLES[0]] * 6, 1, 2) == [0, 1, 0, 1, 0, 1]


def test_quarters_make_halves() -> None:
    halves = parts(model_of(), SAMPLES, 1, 2)
    assert [part // 2 for part in parts(model_of(), SAMPLES, 1, 4)] == halves


def fit_to(scales: list[float]) -> npt.NDArray[np.float64] | None:
    """The change of a weight that is off by as much as a scale says for each part, as a multiple of it."""
    x = np.random.default_rng(1).normal(size=(256, 1, 3))
    weight = np.array([[1.0, 0.5], [0.0, 1.0], [-1.0, 0.2]])
    fit = Fit(1, 3, 2)
    for part, scale in enumerate(scales):
        fit.observe(x, x @ weight * scale, part)
    solved = fit.solve(bias=True)
    return None if solved is None else solved[0][0].T @ np.linalg.pinv(weight)


def test_a_change_that_helps_all_parts_is_made() -> None:
    made = fit_to([1.0] * PARTS)
    assert made is not None
    weight = np.array([[1.0, 0.5], [0.0, 1.0], [-1.0, 0.2]])
    np.testing.assert_allclose(made @ weight, weight, atol=0.05)


def test_a_change_that_helps_some_parts_only_is_not_made() -> None:
    assert fit_to([1.0, -1.0] * (PARTS // 2)) is None


def test_of_a_change_that_helps_parts_unevenly_a_share_is_made() -> None:
    """Of parts that need a change twice and not at all, three tell of the fourth: the best share is 0.6."""
    made = fit_to([2.0, 0.0, 2.0, 0.0])
    assert made is not None
    weight = np.array([[1.0, 0.5], [0.0, 1.0], [-1.0, 0.2]])
    np.testing.assert_allclose(made @ weight, 0.6 * weight, atol=0.04)
