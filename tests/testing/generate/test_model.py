"""Generated models: valid, runnable, the same for the same seed, within the bounds, and of all sorts."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from graphopt.errors import UsageError
from graphopt.execute import Session
from graphopt.ir import facts, nodes, verify
from graphopt.testing.generate import INPUTS_KEY, SPECIALS, Seeded, Spec, Unfit, generate_model
from graphopt.testing.generate.guards import draws

SEEDS = range(80)

Models = dict[int, ir.Model]


@pytest.fixture(scope="module")
def models() -> Models:
    """The models of some seeds."""
    return {seed: generate_model(seed) for seed in SEEDS}


def digest(model: ir.Model) -> str:
    """Of the model to its last byte, and of what it carries."""
    made = hashlib.sha256(ir.to_proto(model).SerializeToString(deterministic=True))
    made.update(repr((model.meta[INPUTS_KEY], model.meta[SPECIALS])).encode())
    return made.hexdigest()


def test_every_model_is_valid(models: Models) -> None:
    """For the strictest check of onnx as for our own verifier."""
    for model in models.values():
        verify(model)
        onnx.checker.check_model(ir.to_proto(model), full_check=True)


def test_every_model_runs_on_what_it_carries(models: Models) -> None:
    """Twice, to the same bits, unless it is random."""
    for seed, model in models.items():
        assert model.meta[INPUTS_KEY]
        random = any(draws(ir.to_proto(node)) for node in nodes(model))
        for feed in model.meta[INPUTS_KEY]:
            one, other = Session(model).run(feed), Session(model).run(feed)
            assert one.keys() == other.keys() == {value.name for value in model.graph.outputs}
            assert random or repr(one) == repr(other), seed


def test_models_without_specials_have_plain_numbers(models: Models) -> None:
    """On the inputs that they were grown with."""
    for model in models.values():
        if model.meta[SPECIALS]:
            continue
        for name, array in Session(model).run(model.meta[INPUTS_KEY][0]).items():
            if isinstance(array, np.ndarray) and array.dtype.kind == "f":
                assert np.isfinite(array.astype(np.float64)).all(), name


def test_a_seed_gives_the_same_model_whatever_ran_before(models: Models) -> None:
    """Also in another process, with other hashes of strings."""
    seeds = [17, 3, 8]
    program = (
        "import hashlib, sys, onnx_ir as ir\n"
        "from graphopt.testing.generate import INPUTS_KEY, SPECIALS, generate_model\n"
        "for seed in map(int, sys.argv[1:]):\n"
        "    model = generate_model(seed)\n"
        "    made = hashlib.sha256(ir.to_proto(model).SerializeToString(deterministic=True))\n"
        "    made.update(repr((model.meta[INPUTS_KEY], model.meta[SPECIALS])).encode())\n"
        "    print(made.hexdigest())\n"
    )
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, *map(str, seeds)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    here = [digest(generate_model(seed)) for seed in seeds]
    assert run.stdout.split() == here == [digest(models[seed]) for seed in seeds]


def test_models_are_of_all_sorts(models: Models) -> None:
    """What passes are wrong about is there, each often enough to be met in a run of a few hundred."""
    found = Counter(sort for model in models.values() for sort in set(sorts(model)))
    expected = {
        "symbolic dimension", "empty tensor", "scalar", "rank 5", "float16", "input left out",
        "output left out", "output used inside", "dead node", "unused input", "equal nodes", "Constant node",
        "subgraph", "random", "nodes without names", "declared inner value", "old opset",
        "new opset", "specials", "no specials", "string", "float64", "old IR version",
    }  # fmt: skip
    assert expected <= found.keys(), expected - found.keys()


def sorts(model: ir.Model) -> Iterator[str]:
    """What is odd about a model."""
    yield "specials" if model.meta[SPECIALS] else "no specials"
    opset = model.opset_imports[""]
    yield "old opset" if opset < 11 else "new opset" if opset > 20 else "usual opset"
    if model.ir_version < 8:
        yield "old IR version"
    outputs = set(model.graph.outputs)
    for value in model.graph.inputs:
        if value.shape is not None and any(isinstance(dim, ir.SymbolicDim) for dim in value.shape):
            yield "symbolic dimension"
        if not value.uses() and value not in outputs:
            yield "unused input"
    for value in (*model.graph.inputs, *model.graph.initializers.values()):
        if value.dtype is not None:
            yield str(value.dtype.name).lower().replace("double", "float64")
        if value.shape is not None:
            yield "scalar" if not len(value.shape) else "rank 5" if len(value.shape) == 5 else "plain"
            if 0 in value.shape:
                yield "empty tensor"
    seen = set()
    for node in nodes(model):
        yield from sorts_of_node(node, outputs)
        key = (node.op_type, tuple(node.inputs), repr(sorted(node.attributes.items())))
        if key in seen:
            yield "equal nodes"
        seen.add(key)


def sorts_of_node(node: ir.Node, outputs: set[ir.Value]) -> Iterator[str]:
    """What is odd about a node."""
    if node.op_type == "Constant":
        yield "Constant node"
    if None in node.inputs:
        yield "input left out"
    if any(not value.name for value in node.outputs):
        yield "output left out"
    if any(value in outputs and value.uses() for value in node.outputs):
        yield "output used inside"
    if not any(value in outputs or value.uses() for value in node.outputs):
        yield "dead node"
    if any(value.shape is not None and value not in outputs for value in node.outputs):
        yield "declared inner value"
    if any(each.type == ir.AttributeType.GRAPH for each in node.attributes.values()):
        yield "subgraph"
    if facts(node).random:
        yield "random"
    if not node.name:
        yield "nodes without names"


BOUNDS: list[dict[str, Any]] = [
    {"ops": ("Add", "Mul", "Relu")},
    {"ops": ("GridSample",), "opsets": (16, 21)},
    {"dtypes": ("float16",), "ops": ("Add", "Cast", "Transpose")},
    {"dynamic": False, "subgraphs": False},
    {"opsets": (9, 9), "max_nodes": 3},
    {"specials": False},
]


@pytest.mark.parametrize("bounds", BOUNDS, ids=str)
def test_bounds_hold(bounds: dict[str, Any]) -> None:
    """Of operators, element types, dimensions, bodies, opsets and specials."""
    spec = Spec(**bounds)
    for seed in range(8):
        model = generate_model(seed, spec)
        used = {node.op_type for node in nodes(model)} - {"Constant"}
        local = {function.name for function in model.functions.values()}
        assert not spec.ops or used - local <= set(spec.ops)
        assert spec.opsets[0] <= model.opset_imports[""] <= spec.opsets[1]
        assert spec.specials is None or model.meta[SPECIALS] == spec.specials
        if not spec.dynamic:
            dims = [dim for value in model.graph.inputs for dim in value.shape or ()]
            assert all(isinstance(dim, int) for dim in dims)
        if not spec.subgraphs:
            assert not used & {"If", "Loop", "Scan", "SequenceMap"}


class Lowest(Seeded):
    """What searches for simpler examples lowers every integer."""

    def integer(self, low: int, high: int) -> int:
        return low


def test_an_opset_that_leaves_nothing_is_told() -> None:
    """By the one exception that a generator raises: the simplest opset is one before it."""
    with pytest.raises(Unfit, match="none of the nodes tried fits"):
        generate_model(Lowest(0), ops=("RegexFullMatch",))


NONSENSE: list[tuple[dict[str, Any], str, str]] = [
    ({"ops": "Conv"}, "ops is 'Conv', expected a list", "ops=['Conv']"),
    ({"ops": ["Conf"]}, "the standard has no operator 'Conf'", "did you mean 'Conv'?"),
    ({"ops": ["Gelu"], "opsets": (7, 12)}, "none of the operators Gelu exists", "Gelu: from opset 20 on"),
    ({"ops": ["Upsample"], "opsets": (10, 12)}, "none of the operators", "Upsample: from opset 1 to 9"),
    ({"ops": ["If", "Loop"], "subgraphs": False}, "If, Loop: none can be made", "subgraphs=False"),
    ({"ops": ["Constant"]}, "Constant alone", "other operators"),
    ({"dtypes": ()}, "dtypes is empty", "float32"),
    ({"dtypes": "float32"}, "dtypes is 'float32', expected a list", "dtypes=['float32']"),
    ({"dtypes": ["float33"]}, "unknown element type 'float33'", "float32"),
    ({"opsets": 18}, "opsets is 18, expected the oldest and the newest", "opsets=(18, 18)"),
    ({"opsets": (18,)}, "expected the oldest and the newest", "opsets=(7, 26)"),
    ({"opsets": ("7", "9")}, "expected the oldest and the newest", "opsets=(7, 26)"),
    ({"opsets": (12, 11)}, "opsets from 12 to 11 are none", "opsets=(11, 12)"),
    ({"opsets": (5, 12)}, "models are generated of 7 to 26", "opsets=(7, 26)"),
    ({"opsets": (27, 90)}, "models are generated of 7 to 26", "opsets=(7, 26)"),
    ({"max_nodes": 0}, "max_nodes is 0", ""),
    ({"max_node": 3}, "there is no bound 'max_node'", "did you mean 'max_nodes'?"),
    ({"seeds": 3}, "there is no bound 'seeds'", "known are ops, max_nodes"),
]


@pytest.mark.parametrize(("bounds", "message", "hint"), NONSENSE, ids=[str(each[0]) for each in NONSENSE])
def test_bounds_that_make_no_sense_are_told(bounds: dict[str, Any], message: str, hint: str) -> None:
    """Before anything is made, and with what to write instead."""
    with pytest.raises(UsageError) as caught:
        generate_model(0, **bounds)
    assert message in caught.value.message
    assert hint in (caught.value.hint or "")


def test_bounds_of_which_some_are_left() -> None:
    assert Spec(ops=["Gelu", "Relu"], opsets=[7, 12]).opsets == (7, 12)  # type: ignore[arg-type]
    assert Spec(ops=("If", "Relu"), subgraphs=False)
    assert Spec(ops=("Upsample",), opsets=(7, 9))


def test_simple_choices_give_the_simplest_model() -> None:
    model = generate_model(Lowest(0))
    assert len(list(nodes(model))) == 1
    assert [value.dtype for value in model.graph.inputs] == [ir.DataType.FLOAT]
