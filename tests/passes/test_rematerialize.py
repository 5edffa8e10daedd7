"""rematerialize: cheap values are made again where they are read late, and every number stays as it was."""

from __future__ import annotations

from graphopt.cost.dims import Dims
from graphopt.ir import infer_shapes
from graphopt.memory.graph_plan import Options, plan_graph
from graphopt.passes.memory.rematerialize import Rematerialize
from graphopt.testing import PassRun, run_pass


def peaks(run: PassRun) -> tuple[int, int]:
    """Bytes in the order nodes stand in, before and after."""
    for model in (run.before, run.model):
        infer_shapes(model)
    plans = [
        plan_graph(each.graph, Dims(each).known_shape, Options(reorder=False))
        for each in (run.before, run.model)
    ]
    return plans[0].peak, plans[1].peak


LATE = """g (float[16] s) => (float[16] y) <int64[2] large = {64, 16}, int64[1] first = {0}> {
    a = EARLY b = ReduceSum<keepdims = 0>(a, first)
    c = Expand(b, large) d = Exp(c) e = ReduceMax<keepdims = 0>(d, first)
    f = Mul(a, e) y = ReduceSum<keepdims = 0>(f, first) }"""
"""`a` is read before and behind `d`, which is as large."""


def late(early: str) -> str:
    return LATE.replace("EARLY", early)


def test_made_again_behind_the_peak() -> None:
    run = run_pass(late("Expand(s, large)"), "rematerialize")
    before, after = peaks(run)
    assert run.changes == 1 and run.ops.count("Expand") == 3
    assert before > 2 * 4096 and after < 4096 + 512


def test_a_chain_from_what_is_there() -> None:
    run = run_pass(late("Cos(g) ").replace("a =", "g = Expand(s, large) a ="), "rematerialize")
    before, after = peaks(run)
    assert run.ops.count("Cos") == 2 and run.ops.count("Expand") == 3 and after < 0.6 * before


def test_a_budget_that_is_kept_already_changes_nothing() -> None:
    run = run_pass(late("Expand(s, large)"), Rematerialize(10_000))
    assert run.changes == 0 and not run.refusals


def test_what_differs_from_run_to_run_is_kept() -> None:
    text = late("RandomNormalLike(g) ").replace("a =", "g = Expand(s, large) a =")
    run = run_pass(text, "rematerialize", inputs=())
    assert run.changes == 0 and "no further change" in next(iter(run.refusals))


def test_inputs_and_outputs_are_not_made_again() -> None:
    text = """g (float[64, 16] a) => (float[16] y, float[64, 16] o)
        <int64[2] large = {64, 16}, int64[1] first = {0}> {
        o = Cos(a) b = ReduceSum<keepdims = 0>(o, first) c = Expand(b, large) d = Exp(c)
        e = ReduceMax<keepdims = 0>(d, first) f = Mul(a, e) h = Mul(f, o)
        y = ReduceSum<keepdims = 0>(h, first) }"""
    assert run_pass(text, "rematerialize").changes == 0
