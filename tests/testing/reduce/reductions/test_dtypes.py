"""Unusual types of floats to float."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from graphopt.testing.reduce.case import Case
from graphopt.testing.reduce.reductions.dtypes import use_float


def test_inputs_constants_and_casts(edited: Callable[..., Case]) -> None:
    text = """m (double[2] x, float16[2] h) => (double[2] y) <double[2] w = {1.5, 2.5}> {
        a = Cast <to = 11> (h) b = Add(x, w) y = Mul(a, b)
    }"""
    feeds = [{"x": np.ones(2), "h": np.ones(2, np.float16)}]
    case = edited(use_float, text, feeds=feeds)
    assert {value.dtype for value in (*case.model.graph.inputs, *case.model.graph.outputs)} == {
        ir.DataType.FLOAT
    }
    assert {array.dtype for array in case.feeds[0].values()} == {np.dtype(np.float32)}
