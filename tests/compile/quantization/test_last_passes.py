"""Candidates are measured as they are emitted: with what the target's last passes make of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from graphopt.compile import optimize
from graphopt.compile.quantization import attempts
from graphopt.execute import BenchResult, InputSet
from graphopt.ir import holds_programs
from graphopt.testing import parse_model

RNG = np.random.default_rng(0)
NUMBERS = ", ".join(f"{number:.4f}" for number in RNG.standard_normal(128 * 128) / 8)
MODEL = f"""g (float[N,128] x) => (float[N,128] y) <float[128,128] w = {{{NUMBERS}}}> {{
    a = MatMul(x, w) b = Relu(a) c = MatMul(b, w) d = Relu(c) y = MatMul(d, w) }}"""


@pytest.mark.parametrize("target", ["native", "portable"])
def test_quantized_candidates_are_timed_with_their_programs(
    target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    timed: list[ir.Model] = []

    def bench(models: Any, **_: Any) -> BenchResult:
        timed.extend(models)
        return BenchResult([[1.0] * 40 for _ in models], InputSet({}), starts=[0, 10, 20, 30])

    monkeypatch.setattr(attempts, "bench", bench)
    data = [{"x": RNG.standard_normal((64, 128)).astype(np.float32)} for _ in range(8)]
    model = parse_model(MODEL)
    optimize(model, quantize="int8", calibration=data, target=target, time_budget=5.0)
    assert timed and any(map(holds_programs, timed)) == (target == "native")
