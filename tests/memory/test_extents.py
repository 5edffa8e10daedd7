"""Parts of a storage take memory while they are alive, and keep their distances where they are placed."""

from __future__ import annotations

import itertools

import hypothesis.strategies as st
import numpy as np
from hypothesis import given, settings

from graphopt.cost.dims import Dims
from graphopt.execute import Session
from graphopt.ir import infer_shapes
from graphopt.memory.aliases import Kind
from graphopt.memory.bounds import lower_bound
from graphopt.memory.buffers import Buffer
from graphopt.memory.check import check_placement
from graphopt.memory.clusters import Cluster, Extent, needs_of
from graphopt.memory.graph_plan import plan_graph
from graphopt.memory.placement.rigid import arena_of, place_clusters
from graphopt.testing import model_inputs, parse_model
from graphopt.testing.arena import run_in_arena

SKIP = """g (float[4,16] x) => (float[8,16] y)
    <int64[2] r = {1, 4}, int64[3] s = {4, 16, 4}, int64[1] l = {2}> {
    a = Sin(x)  b = Tile(a, r)  c = Softmax(b)  f = Reshape(c, s)  d = ReduceMean<keepdims = 0>(f, l)
    e = Concat<axis = 0>(a, d)  y = Sin(e) }"""


def test_the_room_of_a_part_is_free_until_the_part_is_made() -> None:
    """The skip keeps a half of the Concat alive; in the other half the two large values may stand."""
    model = parse_model(SKIP)
    infer_shapes(model)
    plan = plan_graph(model.graph, Dims(model).known_shape)
    assert [link.kind for link in plan.shared].count(Kind.CONCAT) == 2
    assert plan.arena == plan.lower_bound == 256 + 2 * 1024
    assert plan.any_order == 2 * 1024  # what Softmax alone reads and writes
    assert plan.offsets["d"] == plan.offsets["a"] + 256
    inputs = model_inputs(model, special=False)[0]
    expected = Session(model).run(inputs)["y"]
    np.testing.assert_allclose(run_in_arena(model, plan, inputs)["y"], expected, rtol=1e-5, atol=1e-6)


@st.composite
def clusters(draw: st.DrawFn) -> list[Cluster]:
    made = []
    for index in range(draw(st.integers(1, 7))):
        sizes = draw(st.lists(st.integers(1, 6), min_size=1, max_size=3))
        extents = []
        for begin, size in zip(itertools.accumulate([0, *sizes]), sizes, strict=False):
            lower = draw(st.integers(0, 8))
            extents.append(Extent((index,), begin, size, lower, lower + draw(st.integers(1, 4))))
        made.append(Cluster(str(index), sum(sizes), tuple(extents)))
    return made


@settings(max_examples=150, deadline=None)
@given(clusters(), st.sampled_from([1, 4]))
def test_extents_never_meet(found: list[Cluster], alignment: int) -> None:
    offsets = place_clusters(found, alignment=alignment, goal=0, time_limit=0.005)
    assert all(offset % alignment == 0 for offset in offsets)
    extents = [
        (each, offset + each.begin)
        for cluster, offset in zip(found, offsets, strict=True)
        for each in cluster.extents
    ]
    buffers = [Buffer(index, each.lower, each.upper, each.size) for index, (each, _) in enumerate(extents)]
    bound = lower_bound(buffers)
    assert bound == max(needs_of(found, 20))
    places = {index: offset for index, (_, offset) in enumerate(extents)}
    check_placement(buffers, places, arena_of(found, offsets), bound)


def test_no_cluster_needs_no_arena() -> None:
    assert place_clusters([], alignment=64, goal=0, time_limit=0.0) == []
    assert arena_of([], []) == 0
