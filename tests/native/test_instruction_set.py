"""`GRAPHOPT_ISA` with a name that there is not: one clear error, wherever it matters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from graphopt.compile import optimize
from graphopt.errors import GraphoptError, UsageError
from graphopt.execute import Session as InOnnxruntime
from graphopt.native import Program, Session, compile, instruction_set
from graphopt.testing import parse_model

TEXT = """<ir_version: 9, opset_import: ["" : 17]> g (uint8[4] x) => (uint8[4] y)
<float s = {0.1}, uint8 z = {0}> {
    a = DequantizeLinear(x, s, z) b = Sigmoid(a) y = QuantizeLinear(b, s, z) }"""


def model() -> ir.Model:
    return parse_model(TEXT)


def product() -> ir.Model:
    """What is worth a program in onnxruntime."""
    return parse_model("""<ir_version: 9, opset_import: ["" : 17]> g (uint8[1,4] x) => (uint8[1,4] y)
    <float s = {0.1}, uint8 z = {0}, int8[4,4] w = {1,2,3,4,5,6,7,8,1,2,3,4,5,6,7,8}, int8 o = {0}> {
        a = DequantizeLinear(x, s, z) b = DequantizeLinear(w, s, o) c = MatMul(a, b)
        y = QuantizeLinear(c, s, z) }""")


SAVED = compile(model()).to_bytes()

USES: dict[str, Callable[[], Any]] = {
    "compile": lambda: compile(model()),
    "Session": lambda: Session(model()),
    "optimize": lambda: optimize(model(), target="native"),
    "optimize without measuring": lambda: optimize(model(), target="native", measure=False, check=False),
    "a pass": lambda: optimize(model(), passes="compile-programs", measure=False),
    "Program": lambda: Program.from_bytes(SAVED),
    "instruction_set": instruction_set,
}


@pytest.mark.parametrize("use", USES)
def test_an_unknown_name_is_one_error_everywhere(use: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAPHOPT_ISA", "sse9")
    with pytest.raises(UsageError, match="GRAPHOPT_ISA: no instruction set is named 'sse9'") as caught:
        USES[use]()
    assert caught.value.hint is not None and "scalar, avx2, avx_vnni" in caught.value.hint


def test_onnxruntime_says_it_of_a_model_that_is_compiled_already(monkeypatch: pytest.MonkeyPatch) -> None:
    made = optimize(product(), target="native", measure=False).model
    monkeypatch.setenv("GRAPHOPT_ISA", "sse9")
    with pytest.raises(GraphoptError, match="GRAPHOPT_ISA: no instruction set is named 'sse9'; known"):
        InOnnxruntime(made).run({"x": np.zeros((1, 4), np.uint8)})


def test_a_known_name_is_what_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAPHOPT_ISA", "scalar")
    assert instruction_set() == "scalar"
