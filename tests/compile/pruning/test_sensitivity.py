"""`graphopt.sensitivity`: what is told of each group, and what is refused before any work."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

import graphopt
from graphopt.errors import UsageError
from graphopt.execute import Session
from graphopt.report.sensitivity import Sensitivity
from graphopt.testing import parse_model

RNG = np.random.default_rng(5)
SAMPLES = [{"x": RNG.normal(size=(1, 4, 10, 10)).astype(np.float32)} for _ in range(16)]
SIZES = {"w1": (24, 4, 3, 3), "w2": (32, 24, 3, 3), "w3": (32, 10)}


def network(dead: int = 0) -> ir.Model:
    """Two Convs and a classifier that reads next to nothing of the last `dead` channels of the second."""
    declared = ", ".join(f"float[{','.join(map(str, shape))}] {name}" for name, shape in SIZES.items())
    model = parse_model(
        f"""agraph (float[1,4,10,10] x, {declared}) => (float[1,10] y) {{
            a = Conv <pads = [1,1,1,1]> (x, w1) ar = Relu(a) c = Conv(ar, w2) cr = Relu(c)
            p = GlobalAveragePool(cr) f = Flatten(p) y = MatMul(f, w3) }}"""
    )
    rng = np.random.default_rng(7)
    for value in [value for value in model.graph.inputs if value.name in SIZES]:
        shape = SIZES[value.name or ""]
        array = rng.normal(size=shape) / np.sqrt(np.prod(shape[1:]))
        if value.name == "w3" and dead:
            array[-dead:] *= 1e-6
        value.const_value = ir.tensor(array.astype(np.float32), name=value.name)
        model.graph.inputs.remove(value)
        model.graph.register_initializer(value)
    return model


def scanned(model: ir.Model | None = None, **options: Any) -> Sensitivity:
    return graphopt.sensitivity(
        network() if model is None else model, **{"calibration": SAMPLES, "rates": (0.25, 0.5), **options}
    )


def test_each_group_has_a_point_for_each_rate_in_the_order_of_the_graph() -> None:
    found = scanned(rates=(0.5, 0.25))
    assert [(group.name, group.units) for group in found.groups] == [("w1", 24), ("w2", 32)]
    assert found.rates == (0.25, 0.5) and (found.metric, found.baseline) == ("", None)
    for group in found.groups:
        low, high = group.points
        assert (low.units, high.units) == (group.units // 4, group.units // 2)
        assert 0 < (low.error or 0) < (high.error or 0) < 1 and 0 < low.macs < high.macs < 1
        assert low.value is None and low.drop is None


def test_units_that_hardly_matter_cost_hardly_anything() -> None:
    found = scanned(network(dead=16), importance="hessian")
    w1, w2 = found.groups
    assert (w2.points[1].error or 0) < 1e-9 < (w1.points[1].error or 0)
    assert [group.name for group in found.ranked] == ["w1", "w2"]


def test_channels_that_stay_make_up_for_some_of_what_is_lost() -> None:
    """The error is less than with zeros alone in w3, which reads the channels of w2."""
    found = scanned(calibration=SAMPLES[:2], importance="l2", rates=(0.5,))
    model = network()
    w2, w3 = (model.graph.initializers[name].const_value for name in ("w2", "w3"))
    assert w2 is not None and w3 is not None
    gone = np.argsort((w2.numpy() ** 2).sum(axis=(1, 2, 3)), kind="stable")[:16]
    array = w3.numpy().copy()
    array[gone] = 0.0
    expected = [Session(model).run(each)["y"] for each in SAMPLES[:2]]
    model.graph.initializers["w3"].const_value = ir.tensor(array, name="w3")
    noise = sum(
        float(np.square(Session(model).run(each)["y"] - y).sum())
        for each, y in zip(SAMPLES[:2], expected, strict=True)
    )
    signal = sum(float(np.square(y).sum()) for y in expected)
    error = found.groups[1].points[0].error
    assert error is not None and 0 < error < noise / signal


def test_a_metric_is_told_beside_the_error_of_outputs() -> None:
    found = scanned(metric="cosine")
    assert found.metric == "cosine" and found.baseline == pytest.approx(1.0)
    for group in found.groups:
        values = [point.value or 0 for point in group.points]
        assert 0 < values[1] < values[0] < 1
        assert [point.drop for point in group.points] == pytest.approx([1 - value for value in values])
        assert all(point.error for point in group.points)


def test_a_metric_of_ones_own() -> None:
    expected = [Session(network()).run(each)["y"] for each in SAMPLES]

    def nearness(run: Any) -> float:
        return -float(max(np.abs(run(x)["y"] - y).max() for x, y in zip(SAMPLES, expected, strict=True)))

    found = scanned(metric=nearness)
    assert found.metric == "own metric" and found.baseline == pytest.approx(0.0, abs=1e-5)
    assert all((point.value or 0) < -1e-4 for group in found.groups for point in group.points)


def test_the_model_is_left_as_it_was_and_a_second_scan_says_the_same() -> None:
    model = network()
    before = Session(model).run(SAMPLES[0])["y"]
    first = scanned(model, importance="random")
    assert np.array_equal(Session(model).run(SAMPLES[0])["y"], before)
    assert dataclasses.asdict(scanned(model, importance="random")) == first.to_dict()


def test_rates_that_come_to_as_many_units_are_the_same_and_one_unit_stays() -> None:
    found = scanned(rates=(0.001, 0.002, 0.999))
    for group in found.groups:
        assert [point.units for point in group.points] == [1, 1, group.units - 1]
        assert group.points[0].error == group.points[1].error


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rates": (0.5, 1.5)}, "rate 1.5 is no share between 0 and 1"),
        ({"rates": (0.0,)}, "rate 0.0 is no share"),
        ({"rates": (float("nan"),)}, "rate nan is no share"),
        ({"rates": (True,)}, "rate True is no share"),
        ({"rates": ("half",)}, "rate 'half' is no share"),
        ({"rates": ()}, "expected shares between 0 and 1"),
        ({"rates": 0.5}, "expected shares between 0 and 1"),
        ({"importance": "charm"}, "no importance 'charm'"),
        ({"metric": "beauty"}, "no metric 'beauty'"),
        ({"calibration": None}, "there are no data"),
    ],
)
def test_bad_options_are_refused_before_anything_is_read(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        graphopt.sensitivity("no such file.onnx", **{"calibration": SAMPLES, **options})


def test_data_of_the_wrong_shape_are_refused_at_once() -> None:
    told: list[str] = []
    with pytest.raises(UsageError, match="x"):
        scanned(calibration=[{"x": np.zeros((1, 3, 10, 10), np.float32)}], progress=told.append)
    assert not told


def test_a_metric_that_fails_is_told_at_once() -> None:
    told: list[str] = []
    with pytest.raises(UsageError, match="failed"):
        scanned(metric=lambda run: 1 / 0, progress=told.append)
    assert not told


def test_where_nothing_can_go_the_reason_is_told_at_once(nothing_to_prune: ir.Model) -> None:
    told: list[str] = []
    with pytest.raises(UsageError, match="an output of the model"):
        scanned(
            nothing_to_prune, calibration=[{"x": np.ones((1, 3, 4, 4), np.float32)}], progress=told.append
        )
    assert not told
