"""Running pipelines: order, fixed points, records, guilty passes, and passes of other projects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir
import pytest
from onnx_ir.passes.common.identity_elimination import IdentityEliminationPass

from graphopt.ir import WATCHED_KEY, Changes, Reject, Rule, count_nodes, op, rule, var, want_opset
from graphopt.ir.rewrite import Tape
from graphopt.pipeline import FailedPassError, Group, Pass, Pipeline, RewritePass, bisect, default_catalog
from graphopt.testing import parse_model
from graphopt.testing.broken import BreaksTheGraph, ChangesNumbers, Raises

CHAIN = "g (float[2] x) => (float[2] y) { a = Relu(x) b = Relu(a) c = Identity(b) d = Relu(c) y = Neg(d) }"


@rule(op("Relu", op("Relu", var("x"))))
def merge_relu(tape: Tape, x: ir.Value) -> ir.Value:
    """Relu(Relu(x)) -> Relu(x)."""
    return tape.op("Relu", [x])


@rule(op("Identity", var("x")))
def drop_identity(tape: Tape, x: ir.Value) -> ir.Value:
    """Identity(x) -> x."""
    return x


@dataclass(frozen=True)
class MergeRelu(RewritePass):
    """Merge Relus."""

    name: ClassVar[str] = "merge-relu"
    rules: ClassVar[tuple[Rule, ...]] = (merge_relu,)


@dataclass(frozen=True)
class DropIdentity(RewritePass):
    """Drop identities."""

    name: ClassVar[str] = "drop-identity"
    rules: ClassVar[tuple[Rule, ...]] = (drop_identity,)


def test_a_group_runs_to_a_fixed_point_and_skips_what_found_nothing() -> None:
    model = parse_model(CHAIN)
    result = Pipeline([Group((MergeRelu(), DropIdentity()))]).run(model)
    assert [node.op_type for node in model.graph] == ["Relu", "Neg"]
    assert [(record.name, record.changes) for record in result.records] == [
        ("merge-relu", 1), ("drop-identity", 1), ("merge-relu", 1), ("drop-identity", 0), ("merge-relu", 0),
    ]  # fmt: skip


def test_a_pass_whose_roots_the_model_lacks_is_not_run() -> None:
    class NeverRun(MergeRelu):
        def apply(self, model: ir.Model, changes: Changes) -> None:
            raise AssertionError

    model = parse_model("g (float[2] x) => (float[2] y) { y = Neg(x) }")
    (record,) = Pipeline([NeverRun()]).run(model).records
    assert (record.name, record.changes) == ("merge-relu", 0)


def test_records_say_what_was_done_and_refused() -> None:
    model = parse_model("g (float[2] x) => (float[2] y) { [only] y = Identity(x) }")
    (record,) = Pipeline([DropIdentity()]).run(model).records
    assert record.changes == 0
    reason = "drop-identity: both ends belong to the graph's interface"
    assert record.refusals == {reason: 1}
    assert record.examples == {reason: ["only"]}
    assert (record.nodes_before, record.nodes_after) == (1, 1)


def test_an_observer_sees_every_run() -> None:
    seen = []
    pipeline = Pipeline([MergeRelu(), DropIdentity()])
    pipeline.run(
        parse_model(CHAIN), observer=lambda record, model: seen.append((record.name, count_nodes(model)))
    )
    assert seen == [("merge-relu", 4), ("drop-identity", 3)]


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (Raises(), "pass raises: ZeroDivisionError: by nothing"),
        (
            BreaksTheGraph(),
            "pass breaks-the-graph: the graph is not valid: Relu .* defines 'x' a second time",
        ),
    ],
)
def test_a_failing_pass_is_named(broken: Pass, message: str) -> None:
    with pytest.raises(FailedPassError, match=message) as failure:
        Pipeline([MergeRelu(), broken]).run(parse_model(CHAIN))
    assert failure.value.name == broken.name


def test_a_pass_of_another_project_runs_as_it_is() -> None:
    model = parse_model(CHAIN)
    pipeline = Pipeline([IdentityEliminationPass(), MergeRelu()])
    result = pipeline.run(model)
    assert [node.op_type for node in result.model.graph] == ["Relu", "Neg"]
    assert [record.changes for record in result.records] == [1, 2]


def test_our_passes_run_in_pipelines_of_other_projects() -> None:
    model = parse_model(CHAIN)
    result = ir.passes.Sequential(DropIdentity(), MergeRelu())(model)
    assert result.modified
    assert [node.op_type for node in model.graph] == ["Relu", "Neg"]


def test_bisecting_finds_the_guilty_run() -> None:
    pipeline = Pipeline([MergeRelu(), DropIdentity(), ChangesNumbers(before="Neg", after="Abs"), MergeRelu()])
    model = parse_model(CHAIN)
    guilty = bisect(model, pipeline, lambda found: any(node.op_type == "Neg" for node in found.graph))
    assert guilty is not None
    assert (guilty.step, guilty.record.name) == (2, "changes-numbers{before=Neg,after=Abs}")
    assert count_nodes(model) == 5


def test_bisecting_a_sound_pipeline_finds_nobody() -> None:
    assert bisect(parse_model(CHAIN), Pipeline([MergeRelu()]), lambda found: True) is None


def test_the_catalog_holds_the_built_in_passes_by_name() -> None:
    catalog = default_catalog()
    assert "dce" in catalog
    assert all(name == found.name for name, found in catalog.items() if issubclass(found, Pass))


@rule(op("Neg", op("Relu", var("x"))))
def never(tape: Tape, x: ir.Value) -> ir.Value:
    """Refuses everything."""
    raise Reject("not today")


@dataclass(frozen=True)
class Never(RewritePass):
    """Refuse everything."""

    name: ClassVar[str] = "never"
    rules: ClassVar[tuple[Rule, ...]] = (never,)


def test_every_refusal_of_what_is_watched_is_kept() -> None:
    nodes = " ".join(f"[inner{i}] a{i} = Relu(x) [outer{i}] y{i} = Neg(a{i})" for i in range(9))
    outputs = ", ".join(f"float[2] y{i}" for i in range(9))
    model = parse_model(f"g (float[2] x) => ({outputs}) {{ {nodes} }}")
    (record,) = Pipeline([Never()]).run(model, watch=["inner8"]).records
    assert record.refusals == {"never: not today": 9}
    assert record.told == [("never: not today", "outer8")]
    assert WATCHED_KEY not in model.meta


def test_what_stands_for_something_watched_is_watched_too() -> None:
    model = parse_model("g (float[2] x) => (float[2] y) { [one] a = Relu(x) [two] b = Relu(a) y = Neg(b) }")
    records = Pipeline([MergeRelu(), Never()]).run(model, watch=["one"]).records
    assert [record.told for record in records if record.name == "never"] == [[("never: not today", "y")]]


@dataclass(frozen=True)
class Wants(Pass):
    """Ask for a newer opset."""

    name: ClassVar[str] = "wants"

    def apply(self, model: ir.Model, changes: Changes) -> None:
        want_opset(model, 19, "me")
        changes.refuse("needs opset 19")


def test_a_pass_that_serves_wishes_runs_again_once_there_is_one() -> None:
    model = parse_model(CHAIN, opset=18)
    raising = Pipeline.parse("raise-opset")
    records = Pipeline([Group((*raising.items, Wants(), *raising.items))]).run(model).records
    assert [record.hits for record in records if record.hits] == [{"raised from opset 18 to 19 for me": 1}]
    assert model.opset_imports[""] == 19
