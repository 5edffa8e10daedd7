"""Runs end when they take too long or too much, and say what can be done."""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from graphopt.compile import optimize
from graphopt.errors import LimitError
from graphopt.execute import NodeFailure, Session
from graphopt.execute.limits import BASE_BYTES, BASE_SECONDS, MOST_COMPUTED_BYTES, Budget, check_budget
from graphopt.ir import infer_shapes

ENDLESS = """<ir_version: 8, opset_import: ["" : 17]> g (float[2] x) => (float[2] y)
    <int64 n = {4611686018427387904}, bool t = {1}> {
    y = Loop (n, t, x) <body = b (int64 i, bool go, float[2] a) => (bool more, float[2] next) {
        more = Identity(go) next = Add(a, a) }> }"""
FILLED = """<ir_version: 8, opset_import: ["" : 17]> g (int64[1] n) => (float[K] y) {
    a = ConstantOfShape(n) b = Neg(a) y = Abs(b) }"""


def budget(seconds: float = 5.0, peak_bytes: int = 100 << 20) -> Budget:
    return Budget(seconds, peak_bytes, what="it", hint="wait longer")


def test_a_result_comes_through() -> None:
    assert budget().run(lambda: 42) == 42


def test_an_error_comes_through() -> None:
    def fail() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        budget().run(fail)


def test_work_is_stopped() -> None:
    running = [True]

    def work() -> None:
        while running[0]:
            pass

    with pytest.raises(LimitError, match=r"^it takes longer than 0\.1 s") as raised:
        budget(0.1).run(work, lambda: running.__setitem__(0, False))
    assert raised.value.hint == "wait longer"


def test_work_that_does_not_stop_is_left_behind() -> None:
    ended: list[bool] = []

    def work() -> None:
        end = time.monotonic() + 4.0
        while time.monotonic() < end:
            pass
        ended.append(True)

    with pytest.raises(LimitError, match="takes longer than"):
        budget(0.1).run(work)
    assert not ended


def test_work_told_to_stop_for_its_time_may_not_take_all_memory_either() -> None:
    told, over = threading.Event(), threading.Event()
    held: list[np.ndarray] = []

    def work() -> None:
        while not told.is_set():
            pass
        held.append(np.ones(200 << 20, np.uint8))
        over.wait(10.0)

    with pytest.raises(LimitError, match="takes more than 20 MiB of memory"):
        budget(0.1, 20 << 20).run(work, told.set)
    over.set()
    held.clear()


def test_all_runs_share_the_time() -> None:
    shared = budget(0.5)
    begun = time.process_time()
    shared.run(lambda: [None for _ in range(1000) if time.process_time() - begun < 0.2])
    assert shared.seconds_left < 0.5


def test_a_loop_without_end() -> None:
    with pytest.raises(LimitError, match="takes longer than"):
        Session(ir.from_onnx_text(ENDLESS), budget=budget(0.3)).run({"x": np.ones(2, np.float32)})


def test_an_array_beyond_the_limit() -> None:
    session = Session(ir.from_onnx_text(FILLED), budget=budget())
    assert session.run({"n": np.array([1000])})["y"].shape == (1000,)
    with pytest.raises(NodeFailure, match="ConstantOfShape") as raised:
        session.run({"n": np.array([1 << 30])})
    assert raised.value.out_of_memory


def test_what_the_process_holds_before_a_session_begins_does_not_count() -> None:
    limits = budget()
    held = np.ones(200 << 20, np.uint8)
    session = Session(ir.from_onnx_text(FILLED), budget=limits)
    assert session.run({"n": np.array([1000])})["y"].shape == (1000,)
    limits.run(lambda: time.sleep(0.05))
    assert held[-1] == 1


def test_a_session_without_a_budget_is_not_limited() -> None:
    session = Session(ir.from_onnx_text(FILLED))
    assert session.run({"n": np.array([30 << 20])})["y"].size == 30 << 20


def test_more_weights_are_given_more() -> None:
    small = ir.from_onnx_text(FILLED)
    weight: Any = ir.tensor(np.zeros(1 << 20, np.float32), name="w")
    large = ir.from_onnx_text(FILLED)
    large.graph.initializers.add(ir.Value(name="w", const_value=weight))
    assert check_budget(small).peak_bytes == BASE_BYTES
    assert check_budget(small).seconds_left == BASE_SECONDS
    assert check_budget(large).peak_bytes == BASE_BYTES + 4 * (4 << 20)
    assert check_budget(large).seconds_left > BASE_SECONDS


def test_weights_that_are_computed_are_given_more() -> None:
    text = """<ir_version: 8, opset_import: ["" : 17]> g (float[1,SIZE] x) => (float[1,SIZE] y)
        <int64[2] n = {SIZE, SIZE}, float one = {1.0}> {
        w = ConstantOfShape(n) u = Neg(w) v = Add(u, one) p = MatMul(x, v) q = MatMul(p, w) y = Relu(q) }"""
    model = ir.from_onnx_text(text.replace("SIZE", "1024"))
    infer_shapes(model)
    assert check_budget(model).peak_bytes - BASE_BYTES - 4 * 20 == 2 * (4 << 20)  # w and v, not u, p or y
    enormous = ir.from_onnx_text(text.replace("SIZE", "100000"))
    infer_shapes(enormous)
    assert check_budget(enormous).peak_bytes - BASE_BYTES - 4 * 20 == MOST_COMPUTED_BYTES


def test_a_model_with_many_computed_weights_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphopt.execute.limits.BASE_BYTES", 8 << 20)
    layers = range(12)
    made = " ".join(f"w{i} = ConstantOfShape(n)" for i in layers)
    read = " ".join(f"x{i + 1} = MatMul(x{i}, w{i})" for i in layers)
    text = f"""<ir_version: 8, opset_import: ["" : 17]> g (float[1,1000] x0) => (float[1,1000] y)
        <int64[2] n = {{1000, 1000}}> {{ {made} {read} y = Relu(x12) }}"""
    report = optimize(ir.from_onnx_text(text), level=0, measure=False).report
    assert report.check is not None
    assert report.check.equal


def test_nothing_is_emitted_that_could_not_be_checked_in_time() -> None:
    model = ir.from_onnx_text(ENDLESS)
    with pytest.raises(LimitError, match="running the model to check it takes longer than") as raised:
        optimize(model, measure=False, check_timeout=0.2)
    assert "--check-timeout" in (raised.value.hint or "")
    assert "--no-check" in (raised.value.hint or "")
    assert optimize(model, measure=False, check=False).model.graph.num_nodes()


def test_an_input_beyond_the_limit() -> None:
    text = """<ir_version: 8, opset_import: ["" : 17]>
        g (float[1000000,1000000] x) => (float[K,L] y) { y = Neg(x) }"""
    with pytest.raises(LimitError, match="of memory"):
        optimize(ir.from_onnx_text(text), measure=False)
