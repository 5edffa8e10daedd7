"""What does not compute."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from graphopt.io import to_proto
from graphopt.testing import parse_model
from graphopt.testing.reduce.case import Case
from graphopt.testing.reduce.reductions.metadata import drop_metadata, shorten_names


def test_documentation_and_metadata_go(edited: Callable[..., Case]) -> None:
    model = parse_model("m (float[2] x) => (float[2] y) { y = Abs(x) }")
    model.producer_name, model.doc_string = "somebody", "something"
    model.metadata_props["key"] = model.graph[0].metadata_props["key"] = "value"
    proto = to_proto(edited(drop_metadata, model).model)
    assert not (proto.producer_name or proto.doc_string or proto.metadata_props)
    assert not proto.graph.node[0].metadata_props


def test_names_are_short_and_inputs_follow(edited: Callable[..., Case]) -> None:
    text = """m (float[2] v0, float[2] image) => (float[2] x0, float[2] other) <float[2] scale = {1, 2}> {
        inner = Mul(image, scale) x0 = Add(inner, v0) other = Neg(inner)
    }"""
    feeds = [{"v0": np.zeros(2, np.float32), "image": np.ones(2, np.float32)}]
    case = edited(shorten_names, text, feeds=feeds)
    graph = case.model.graph
    assert [value.name for value in graph.inputs] == ["x0", "x1"]
    assert list(graph.initializers) == ["w0"]
    assert [value.name for value in graph.outputs] == ["y0", "y1"]
    np.testing.assert_array_equal(case.feeds[0]["x1"], [1, 1])
