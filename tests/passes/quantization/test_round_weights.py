"""Rounded weights lie on the grid that is noted, and outputs are nearer than with each rounded alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from graphopt.cost import machine
from graphopt.errors import UsageError
from graphopt.execute import DATA_KEY, Session
from graphopt.ir import constant, infer_shapes, verify
from graphopt.passes.quantization._rounded import AFFINE_KEY, noted
from graphopt.passes.quantization.calibrate import Calibrate
from graphopt.passes.quantization.quantize_static import QuantizeStatic
from graphopt.passes.quantization.round_weights import RoundWeights
from graphopt.pipeline import Outcome
from graphopt.quant.measures import sqnr_db
from graphopt.testing import parse_model

Weights = Callable[..., str]
Feeds = list[dict[str, Any]]

LAYERS: dict[str, tuple[str, dict[str, tuple[int, ...]], str]] = {
    "MatMul": ("[32,16]", {"w": (16, 8)}, "MatMul(x, w)"),
    "batched MatMul": ("[2,16,16]", {"w": (16, 8)}, "MatMul(x, w)"),
    "Gemm": ("[32,16]", {"w": (8, 16), "b": (8,)}, "Gemm<transB=1>(x, w, b)"),
    "Conv": ("[1,4,9,9]", {"w": (8, 4, 3, 3)}, "Conv<pads=[1, 1, 1, 1]>(x, w)"),
    "strided Conv": ("[1,4,9,9]", {"w": (8, 4, 3, 3)}, 'Conv<auto_pad="SAME_UPPER", strides=[2, 2]>(x, w)'),
    "1-D Conv": ("[1,4,40]", {"w": (8, 4, 5)}, "Conv<dilations=[2]>(x, w)"),
    "depthwise Conv": ("[1,8,12,12]", {"w": (8, 1, 3, 3)}, "Conv<group=8>(x, w)"),
    "grouped Conv": ("[1,8,12,12]", {"w": (6, 4, 3, 3)}, "Conv<group=2>(x, w)"),
}


def _correlated(shape: tuple[int, ...], count: int = 12) -> Feeds:
    """Samples whose elements hang together and have a mean, as activations have."""
    random = np.random.default_rng(0)
    feeds = []
    for _ in range(count):
        x = random.normal(0.7, 0.4, shape)
        for axis in range(1, len(shape)):
            x = np.cumsum(x, axis=axis) / np.sqrt(np.arange(1, shape[axis] + 1)).reshape(
                [-1 if place == axis else 1 for place in range(len(shape))]
            )
        feeds.append({"x": np.maximum(x, 0).astype(np.float32)})
    return feeds


def _model(kind: str, weights: Weights) -> tuple[ir.Model, Feeds]:
    shape, constants, layer = LAYERS[kind]
    result = shape.replace("32", "n") if layer.startswith(("Gemm", "MatMul")) else shape
    dims = ",".join(f"d{place}" for place in range(result.count(",") + 1))
    text = f"agraph (float{shape} x) => (float[{dims}] y) {weights(**constants)} {{ y = {layer} }}"
    model = parse_model(text, opset=21)
    infer_shapes(model)
    return model, _correlated(tuple(int(dim) for dim in shape[1:-1].split(",")))


def _rounded(model: ir.Model, feeds: Feeds, **options: Any) -> tuple[ir.Model, Outcome]:
    rounded = model.clone()
    rounded.meta[DATA_KEY] = feeds
    outcome = RoundWeights(threads=1, **options).call(rounded)
    verify(rounded)
    return rounded, outcome


def _noise(model: ir.Model, other: ir.Model, feeds: Feeds) -> float:
    before, after = Session(model), Session(other)
    return min(sqnr_db(before.run(feed)["y"], after.run(feed)["y"]) for feed in feeds)


def _nearest(model: ir.Model, rounded: ir.Model) -> ir.Model:
    """With each weight at the nearest value of the grids of `rounded`."""
    model = model.clone()
    for name, weight in rounded.graph.initializers.items():
        if (affine := noted(weight)) is not None:
            array = constant(model.graph.initializers[name])
            assert array is not None
            model.graph.initializers[name].const_value = ir.Tensor(affine.fake(array), name=name)
    return model


@pytest.mark.parametrize("kind", LAYERS)
def test_outputs_are_nearer_than_with_weights_rounded_alone(weights: Weights, kind: str) -> None:
    model, feeds = _model(kind, weights)
    rounded, outcome = _rounded(model, feeds, bits=7)
    assert outcome.changes.count == 1
    assert _noise(model, rounded, feeds) > _noise(model, _nearest(model, rounded), feeds) + 2.0


@pytest.mark.parametrize("kind", LAYERS)
def test_weights_lie_on_the_grid_that_is_noted(weights: Weights, kind: str) -> None:
    rounded, _ = _rounded(*_model(kind, weights))
    weight = rounded.graph.initializers["w"]
    affine, array = noted(weight), constant(weight)
    assert affine is not None and array is not None
    assert affine.scale.shape == (8 if array.size != 6 * 36 else 6,)
    assert np.array_equal(affine.fake(array), array)


def test_quantizing_uses_the_grid_and_drops_the_note(weights: Weights) -> None:
    model = parse_model(
        f"""agraph (float[1,4,9,9] x) => (float[1,4,1,1] y) {weights(w=(8, 4, 3, 3), v=(4, 8, 1, 1))} {{
            c = Conv(x, w)
            d = Conv(c, v)
            y = GlobalAveragePool(d)
        }}"""
    )
    infer_shapes(model)
    feeds = _correlated((1, 4, 9, 9))
    model.meta[DATA_KEY] = feeds
    Calibrate(threads=1).call(model)
    RoundWeights(threads=1).call(model)
    expected = constant(model.graph.initializers["w"])
    QuantizeStatic(everywhere=True).call(model)
    reads = next(node for node in model.graph if node.op_type == "Conv").inputs[1]
    assert reads is not None
    codes, scale, _ = (constant(value) for value in reads.producer().inputs)  # type: ignore[union-attr]
    assert codes is not None and scale is not None and expected is not None
    assert np.array_equal(codes * scale.reshape(-1, 1, 1, 1), expected)
    assert not any(AFFINE_KEY in value.metadata_props for value in model.graph.initializers.values())


def test_what_stays_in_float_has_its_weights_back(weights: Weights) -> None:
    model, feeds = _model("Conv", weights)
    rounded, _ = _rounded(model, feeds)
    before, between = (constant(each.graph.initializers["w"]) for each in (model, rounded))
    assert before is not None and between is not None and not np.array_equal(before, between)
    QuantizeStatic(ops=("MatMul",), everywhere=True).call(rounded)
    after = constant(rounded.graph.initializers["w"])
    assert after is not None and np.array_equal(before, after)


def test_turns_change_nothing(weights: Weights) -> None:
    model = parse_model(
        f"""agraph (float[32,16] x) => (float[32,8] y) {weights(w=(16, 16), v=(16, 8))} {{
            a = MatMul(x, w)
            b = Tanh(a)
            y = MatMul(b, v)
        }}"""
    )
    infer_shapes(model)
    feeds = _correlated((32, 16))
    together, _ = _rounded(model, feeds)
    in_turns, _ = _rounded(model, feeds, megabytes=0)
    for name in ("w", "v"):
        one, other = (constant(each.graph.initializers[name]) for each in (together, in_turns))
        assert one is not None and other is not None and np.array_equal(one, other)


def test_a_second_run_changes_nothing(weights: Weights) -> None:
    rounded, _ = _rounded(*_model("Gemm", weights))
    assert not RoundWeights(threads=1).call(rounded).modified


def test_weights_that_others_read_stay(weights: Weights) -> None:
    model = parse_model(
        f"""agraph (float[4,8] x) => (float[4,8] y) {weights(w=(8, 8))} {{
            a = MatMul(x, w)
            y = MatMul(a, w)
        }}"""
    )
    infer_shapes(model)
    _, outcome = _rounded(model, _correlated((4, 8)))
    assert not outcome.modified
    assert outcome.changes.refusals["others read its weights too"] == 2


def test_without_data_it_says_what_to_do(weights: Weights) -> None:
    model, _ = _model("Gemm", weights)
    with pytest.raises(UsageError) as error:
        RoundWeights().call(model)
    assert "round-weights{data=PATH}" in (error.value.hint or "")


def test_options_that_make_no_sense_are_refused() -> None:
    with pytest.raises(UsageError):
        RoundWeights(bits=5)


def test_a_machine_whose_products_saturate_gets_seven_bits(
    weights: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `quantize-static` gives it, which then takes the weights as they were rounded."""
    monkeypatch.setattr(machine, "_cpu_fields", lambda: {"flags": "fpu sse2 avx2"})
    rounded, _ = _rounded(*_model(next(iter(LAYERS)), weights), target="ort-cpu")
    affine = noted(rounded.graph.initializers["w"])
    assert affine is not None and affine.scheme.bits == 7
