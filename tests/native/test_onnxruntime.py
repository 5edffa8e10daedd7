"""Programs inside the installed onnxruntime: right, on its threads, and an error where one is due."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest

from graphopt._native import ProgramBuilder
from graphopt.execute import Session, library
from graphopt.io import to_proto
from graphopt.testing import parse_model

TABLE = np.random.default_rng(0).permutation(256).astype(np.uint8)
CODES = np.random.default_rng(1).integers(0, 256, (64, 1000), np.uint8)


def looked_up(*axes: int | str, kind: str = "u8") -> bytes:
    """A program that looks its input up in `TABLE`."""
    builder = ProgramBuilder()
    value = builder.input("x", kind, list(axes))
    (out,) = builder.step("lookup", [value], {"table": TABLE, "type": "u8"}, name="look")
    builder.output(out, "y")
    saved: bytes = builder.build().save()
    return saved


def model_of(program: bytes, text: str = "") -> ir.Model:
    """A model that runs a program between two other nodes."""
    model = parse_model(
        text
        or """<ir_version: 9, opset_import: ["" : 17, "graphopt" : 1]>
        g (uint8[N, C] x) => (uint8[N, C] y) <uint8[A, B] p>
        { a = Identity(x) p = graphopt.Program(a) y = Identity(p) }"""
    )
    for node in model.graph:
        if node.op_type == "Program":
            tensor = ir.Tensor(np.frombuffer(program, np.uint8), name="program")
            node.attributes.add(ir.AttrTensor("program", tensor))
    return model


def opened(model: ir.Model, threads: int = 1, **entries: str) -> Any:
    options = onnxruntime.SessionOptions()
    options.register_custom_ops_library(library())
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    for key, value in entries.items():
        options.add_session_config_entry(key, value)
    return onnxruntime.InferenceSession(to_proto(model).SerializeToString(), options)


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (0, 4), (64, 1000)])
def test_a_program_runs_at_any_shape_and_with_any_threads(threads: int, shape: Sequence[int]) -> None:
    codes = np.resize(CODES, shape)
    (out,) = opened(model_of(looked_up("n", "c")), threads).run(None, {"x": codes})
    assert np.array_equal(out, TABLE[codes])


def test_one_session_runs_for_several_callers_at_once() -> None:
    session = opened(model_of(looked_up("n", "c")), threads=2)
    wrong: list[int] = []

    def call(seed: int) -> None:
        codes = np.random.default_rng(seed).integers(0, 256, (seed + 1, 997), np.uint8)
        for _ in range(20):
            if not np.array_equal(session.run(None, {"x": codes})[0], TABLE[codes]):
                wrong.append(seed)

    callers = [threading.Thread(target=call, args=(seed,)) for seed in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert not wrong


def test_options_may_be_gone_and_others_registered_while_a_session_lives() -> None:
    sessions = [opened(model_of(looked_up("n", "c"))) for _ in range(3)]
    del sessions[1]
    for session in sessions:
        assert np.array_equal(session.run(None, {"x": CODES})[0], TABLE[CODES])


@pytest.mark.parametrize(
    "program", [b"", b"no program", looked_up("n", "c")[:-1], looked_up("n", "c") + b"\0"]
)
def test_bytes_that_are_no_program_are_refused_when_the_model_is_loaded(program: bytes) -> None:
    with pytest.raises(Exception, match=r"graphopt\.Program: "):
        opened(model_of(program))


def test_a_node_without_a_program_is_refused() -> None:
    model = model_of(b"")
    next(node for node in model.graph if node.op_type == "Program").attributes.clear()
    with pytest.raises(Exception, match=r"graphopt\.Program: .*program"):
        opened(model)


HEAD = '<ir_version: 9, opset_import: ["" : 17, "graphopt" : 1]> g '


@pytest.mark.parametrize(
    ("text", "feed", "message"),
    [
        (
            "(uint8[N, C] x) => (float[N, C] y) { y = graphopt.Program(x) }",
            CODES,
            "declared as f32, and is u8",
        ),
        (
            "(uint8[N, C] x) => (double[N, C] y) { y = graphopt.Program(x) }",
            CODES,
            "types? that programs do not",
        ),
        (
            "(int8[N, C] x) => (uint8[N, C] y) { y = graphopt.Program(x) }",
            CODES.astype(np.int8),
            "s8, not u8",
        ),
        ("(uint8[N] x) => (uint8[N, C] y) { y = graphopt.Program(x) }", CODES[0], "shape"),
        (
            "(uint8[N, C] x) => (uint8[N, C] y) { y = graphopt.Program(x, x) }",
            CODES,
            "2 inputs, its program 1",
        ),
        (
            "(uint8[N, C] x) => (uint8[N, C] y, uint8[N, C] z) { y, z = graphopt.Program(x) }",
            CODES,
            "2 outputs",
        ),
    ],
)
def test_what_does_not_fit_the_program_is_an_error(text: str, feed: Any, message: str) -> None:
    session = opened(model_of(looked_up("n", "c"), HEAD + text))
    with pytest.raises(Exception, match=message):
        session.run(None, {"x": feed})


def test_the_library_needs_no_python() -> None:
    assert b"PyErr_" not in Path(library()).read_bytes()


def test_a_session_of_graphopt_registers_the_library_by_itself() -> None:
    model = model_of(looked_up("n", "c"))
    for optimize in (False, True):
        session = Session(model, optimize=optimize, fallback=False)
        assert np.array_equal(session.run({"x": CODES})["y"], TABLE[CODES])
