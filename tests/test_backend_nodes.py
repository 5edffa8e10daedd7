"""A share of ONNX's own node tests at every level, for every target; benchmarks/backend_nodes.py runs all."""

from __future__ import annotations

import importlib
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from graphopt.targets import known_targets
from graphopt.testing.passes import parse_model

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
STRIDE, FRESH_STRIDE = 16, 32
"""Of about 1,900 cases; each operator has several in a row."""


@pytest.fixture(scope="module")
def backend_nodes() -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        yield importlib.import_module("backend_nodes")


@pytest.fixture(scope="module")
def backend_cases(backend_nodes: Any) -> Any:
    return importlib.import_module("backend_cases")


def outcomes(backend_nodes: Any, stride: int, offset: int, forms: tuple[str, ...]) -> Counter[str]:
    counts: Counter[str] = Counter()
    failed = []
    for case in backend_nodes.load_cases(stride, offset=offset):
        for plan, variant, outcome in backend_nodes.run_case(case, backend_nodes.plans(), forms):
            counts[outcome.kind] += 1
            if outcome.kind == "failed":
                failed.append(f"{case.name}, {plan}, constant {variant.constants}: {outcome.reason}")
    assert not failed, f"--stride {stride} --offset {offset}"
    return counts


@pytest.mark.parametrize("form", ["given", "constant"])
def test_node_cases(backend_nodes: Any, form: str) -> None:
    counts = outcomes(backend_nodes, STRIDE, 0, (form,))
    assert counts["equal"] > 3 * 1900 // STRIDE


def test_node_cases_of_another_share_every_time(backend_nodes: Any, pytestconfig: pytest.Config) -> None:
    """It follows from `--graphopt-seed`, which is printed."""
    offset = random.Random(pytestconfig.getoption("--graphopt-seed") or "0").randrange(FRESH_STRIDE)
    print(f"benchmarks/backend_nodes.py --stride {FRESH_STRIDE} --offset {offset}")
    counts = outcomes(backend_nodes, FRESH_STRIDE, offset, ("given", "constant", "some"))
    assert counts["equal"] > 3 * 1900 // FRESH_STRIDE


def test_every_level_for_every_target_is_planned_once(backend_nodes: Any) -> None:
    plans = backend_nodes.plans()
    covered = [(plan.level, target) for plan in plans for target in plan.targets]
    assert sorted(covered) == sorted((level, target) for level in (0, 1, 2) for target in known_targets())
    assert [len(plan.targets) for plan in plans if plan.level == 2] == [1] * len(known_targets())


@pytest.mark.parametrize(
    ("forms", "expected"),
    [
        (("given", "constant"), [("given", ()), ("constant", ("a", "b", "c"))]),
        (("some",), [("some", (names)) for names in ("a", "bc", "b", "ac", "c", "ab")]),
    ],
)
def test_forms(backend_cases: Any, forms: tuple[str, ...], expected: list[tuple[str, Any]]) -> None:
    model = parse_model("agraph (float[2] a, float[2] b, float[2] c) => (float[2] y) { y = Sum(a, b, c) }")
    arrays = [np.array([1, 2], np.float32) * scale for scale in (1, 10, 100)]
    case = Case(ir.to_proto(model), [(arrays, [arrays[0] * 111])])
    made = list(backend_cases.variants(case, model, forms))
    assert [(each.form, each.constants) for each in made] == [
        (form, tuple(names)) for form, names in expected
    ]
    for each in made:
        assert set(each.feed) == {"a", "b", "c"} - set(each.constants)
        assert {value.name for value in each.model.graph.inputs} == set(each.feed)
        assert backend_cases.agrees(case, model, backend_cases.expected_outputs(each.model, each.feed))


@pytest.mark.parametrize(
    ("operator", "dtype", "readable"),
    [('BitShift<direction="LEFT">', "uint8", True), ('BitShift<direction="LEFT">', "int8", False)],
)
def test_a_case_of_a_newer_opset_is_read_where_it_means_the_same(
    backend_cases: Any, operator: str, dtype: str, readable: bool
) -> None:
    proto = onnx.parser.parse_model(
        f'<ir_version: 14, opset_import: ["" : 28]> '
        f"agraph ({dtype}[2] a, {dtype}[2] b) => ({dtype}[2] y) {{ y = {operator}(a, b) }}"
    )
    arrays = [np.array([1, 2], dtype), np.array([1, 2], dtype)]
    case = Case(proto, [(arrays, [arrays[0] << arrays[1]])])
    assert (backend_cases.readable(case) is not None) == readable
    wrong = Case(proto, [(arrays, [arrays[0]])])
    assert backend_cases.readable(wrong) is None


class Case:
    """What onnx's loader gives, as far as it is read."""

    name, rtol, atol = "case", 1e-3, 1e-7

    def __init__(self, model: onnx.ModelProto, data_sets: list[tuple[list[Any], list[Any]]]) -> None:
        self.model, self.data_sets = model, data_sets
