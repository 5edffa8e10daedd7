"""fuse-conv-activation: the activations that FusedConv has go into the Conv in front."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from graphopt.testing import run_pass

Weights = Callable[..., str]
CONV = "c = Conv <pads = [1, 1, 1, 1], group = 2> (x, w, b)"


def model(weights: Weights, end: str, conv: str = CONV, out: str = "y") -> str:
    constants = weights(w=(4, 1, 3, 3), b=(4,))[:-1] + ", float low = {-0.5}, float high = {0.75}>"
    outputs = ", ".join(f"float[N,4,H,W] {name}" for name in out.split())
    return f"g (float[N,2,H,W] x, float t) => ({outputs}) {constants} {{ {conv} {end} }}"


@pytest.mark.parametrize(
    ("end", "activation", "parameters"),
    [
        ("y = HardSwish(c)", "HardSwish", None),
        ("y = Relu(c)", "Relu", None),
        ("y = Sigmoid(c)", "Sigmoid", None),
        ("y = Tanh(c)", "Tanh", None),
        ("y = LeakyRelu(c)", "LeakyRelu", [0.01]),
        ("y = LeakyRelu <alpha = 0.25> (c)", "LeakyRelu", [0.25]),
        ("y = HardSigmoid(c)", "HardSigmoid", [0.2, 0.5]),
        ("y = HardSigmoid <alpha = 0.25, beta = 0.25> (c)", "HardSigmoid", [0.25, 0.25]),
        ("y = Clip(c, low, high)", "Clip", [-0.5, 0.75]),
        ("y = Clip(c, low)", "Clip", [-0.5, 3.4028234663852886e38]),
        ("y = Clip(c, , high)", "Clip", [-3.4028234663852886e38, 0.75]),
    ],
)
def test_activations_go_into_the_conv(
    weights: Weights, end: str, activation: str, parameters: list[float] | None
) -> None:
    run = run_pass(model(weights, end), "fuse-conv-activation")
    assert run.ops == ["FusedConv"]
    attributes = run.node("FusedConv").attributes
    assert attributes["activation"].as_string() == activation
    assert attributes["group"].as_int() == 2
    found = attributes.get("activation_params")
    assert (None if found is None else list(found.as_floats())) == (parameters and pytest.approx(parameters))


def test_bounds_as_attributes_are_read(weights: Weights) -> None:
    run = run_pass(model(weights, "y = Clip <min = -0.5, max = 0.5> (c)"), "fuse-conv-activation", opset=10)
    assert list(run.node("FusedConv").attributes["activation_params"].as_floats()) == [-0.5, 0.5]


@pytest.mark.parametrize(
    ("end", "out", "reasons"),
    [
        ("y = Elu(c)", "y", set()),
        ("y = Clip(c, t)", "y", {"a bound of the Clip is not known"}),
        ("y = Relu(c) z = Neg(c)", "y z", {"the result of the Conv is also used elsewhere"}),
    ],
)
def test_near_misses_stay(weights: Weights, end: str, out: str, reasons: set[str]) -> None:
    run = run_pass(model(weights, end, out=out), "fuse-conv-activation")
    assert run.changes == 0
    assert set(run.refusals) == {f"conv-activation: {reason}" for reason in reasons}


def test_other_types_stay() -> None:
    text = """g (float16[1,1,4,4] x, float16[1,1,3,3] w) => (float16[1,1,2,2] y) {
        c = Conv(x, w) y = Relu(c) }"""
    run = run_pass(text, "fuse-conv-activation", inputs=())
    assert set(run.refusals) == {"conv-activation: onnxruntime has FusedConv for float32 alone"}
