"""fuse-gemm-activation: the activation behind a Gemm goes into FusedGemm."""

from __future__ import annotations

import pytest

from graphopt.testing import run_pass


def model(end: str, out: str = "y", dtype: str = "float") -> str:
    outputs = ", ".join(f"{dtype}[3,2] {name}" for name in out.split())
    ports = f"({dtype}[3,4] a, {dtype}[2,4] b, {dtype}[2] c) => ({outputs})"
    return f"g {ports} {{ g = Gemm <transB = 1, alpha = 0.5, beta = 2.0> (a, b, c) {end} }}"


@pytest.mark.parametrize(
    "end",
    ["y = Relu(g)", "y = Sigmoid(g)", "y = Tanh(g)", "y = LeakyRelu(g)", "y = LeakyRelu <alpha = 0.3> (g)"],
)
def test_activations_go_into_the_gemm(end: str) -> None:
    assert run_pass(model(end), "fuse-gemm-activation").ops == ["FusedGemm"]


def test_others_stay() -> None:
    assert run_pass(model("y = Elu(g)"), "fuse-gemm-activation").changes == 0
    used = run_pass(model("y = Relu(g) z = Neg(g)", "y z"), "fuse-gemm-activation")
    assert set(used.refusals) == {"gemm-activation: the result of the Gemm is also used elsewhere"}
    double = run_pass(model("y = Relu(g)", dtype="double"), "fuse-gemm-activation")
    assert set(double.refusals) == {"gemm-activation: onnxruntime has FusedGemm for float32 alone"}
