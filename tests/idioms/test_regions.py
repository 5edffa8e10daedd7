"""Regions with one entry: grown back to where all paths meet, and what goes when one is replaced."""

from __future__ import annotations

import onnx_ir as ir

from graphopt.idioms import Ranks, Region, regions_ending_at, removable
from graphopt.testing import parse_model

HARD_SWISH = """g (float[3] x) => (float[3] y) <float three = {3}, float zero = {0}, float six = {6}> {
    n = Neg(x) s = Add(n, three) c = Clip(s, zero, six) m = Mul(n, c) y = Div(m, six) }"""


def regions(model: ir.Model, most: int = 24) -> list[Region]:
    return list(regions_ending_at(list(model.graph)[-1], Ranks(), lambda node: True, most))


def test_regions_are_the_places_where_all_paths_meet() -> None:
    found = regions(parse_model(HARD_SWISH))
    described = [(region.entry.name, [node.op_type for node in region.nodes]) for region in found]
    assert described == [
        ("m", ["Div"]),
        ("n", ["Add", "Clip", "Mul", "Div"]),
        ("x", ["Neg", "Add", "Clip", "Mul", "Div"]),
    ]


def test_growing_stops_at_a_bound_and_where_a_node_may_not_stand_inside() -> None:
    model = parse_model(HARD_SWISH)
    assert [len(region.nodes) for region in regions(model, most=4)] == [1, 4]
    end = list(model.graph)[-1]
    kept = regions_ending_at(end, Ranks(), lambda node: node.op_type != "Clip")
    assert [len(region.nodes) for region in kept] == [1]


def test_two_entries_are_no_region() -> None:
    model = parse_model("g (float[3] x, float[3] z) => (float[3] y) { m = Neg(x) y = Mul(m, z) }")
    assert regions(model) == []


def test_what_others_use_is_not_removed() -> None:
    model = parse_model(HARD_SWISH.replace("(float[3] y)", "(float[3] y, float[3] s)"))
    region = regions(model)[1]
    assert [node.op_type for node in removable(region)] == ["Div", "Mul", "Clip"]
