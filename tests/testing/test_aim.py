"""Models generated for a pass: what its rules look for is built, and nearly so."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import onnx_ir as ir
import pytest

from graphopt.errors import ExecutionError
from graphopt.ir import Changes, Tape, op, rule, var
from graphopt.ir.pattern import Op, match_node
from graphopt.ir.rewrite import Rule
from graphopt.pipeline import Pass, Pipeline, RewritePass, default_catalog
from graphopt.testing.aim import aimed, operators_of, rules_of
from graphopt.testing.generate import Seeded, Spec, Unfit, arrays, generate_model
from graphopt.testing.generate.around import plant
from graphopt.testing.generate.builder import Builder

TRIES = 40
OPSET = 24


@rule(op("Neg", op("Selu", var("x"))))
def negative_selu(tape: Tape, x: ir.Value) -> ir.Value:
    return x


@dataclasses.dataclass(frozen=True)
class DropSelu(RewritePass):
    """Has a rule; names Selu."""

    name: ClassVar[str] = "drop-selu"
    rules: ClassVar[tuple[Rule, ...]] = (negative_selu,)


@dataclasses.dataclass(frozen=True)
class FuseSoftmaxes(Pass):
    """Has no rules."""

    name: ClassVar[str] = "fuse-softmaxes"

    def apply(self, model: ir.Model, changes: Changes) -> None:
        """Nothing: only its words count."""


def test_rules_of_a_pass_and_of_a_pipeline() -> None:
    assert rules_of(DropSelu()) == (negative_selu,)
    assert rules_of(FuseSoftmaxes()) == ()
    assert rules_of(Pipeline([DropSelu(), FuseSoftmaxes()])) == (negative_selu,)


def test_operators_that_a_module_names() -> None:
    assert {"Neg", "Selu"} <= operators_of(DropSelu())
    assert "Loop" in operators_of(default_catalog()["simplify-control-flow"]())


def test_large_pipelines_speak_of_everything() -> None:
    spec = aimed(Spec(), Pipeline([FuseSoftmaxes()] * 30))
    assert spec.often == () and spec.named == ()


def test_models_for_a_rule_hold_what_it_looks_for() -> None:
    def fits(seed: int, spec: Spec) -> bool:
        model = generate_model(seed, spec)
        (pattern,) = negative_selu.patterns
        return any(True for node in model.graph for _ in match_node(pattern, node))

    plain, directed = Spec(max_nodes=6), aimed(Spec(max_nodes=6), DropSelu())
    assert sum(fits(seed, directed) for seed in range(15)) >= 5
    assert not any(fits(seed, plain) for seed in range(15))


def planted(pattern: Op, seed: int) -> bool:
    b = Builder(Seeded(seed), Spec(), opset=OPSET, ir_version=11, specials=True)
    b.input(arrays.random_array(b.choices.numbers(), ir.DataType.FLOAT, b.shape()))
    try:
        plant(b, pattern)
    except (Unfit, ExecutionError):
        return False
    assert not b.forced
    return True


def is_standard(pattern: object) -> bool:
    if not isinstance(pattern, Op):
        return True
    return not pattern.domain and all(map(is_standard, pattern.inputs))


RULES = {each.name: each for made in default_catalog().values() for each in getattr(made, "rules", ())}


@pytest.mark.parametrize("name", sorted(RULES))
def test_patterns_of_our_rules_can_be_built(name: str) -> None:
    patterns = [pattern for pattern in RULES[name].patterns if is_standard(pattern)]
    assert all(any(planted(pattern, seed) for seed in range(TRIES)) for pattern in patterns)
