"""Fixtures: one reduction on one model, as the engine would try it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, Protocol

import onnx
import onnx_ir as ir
import pytest

from graphopt.io import to_proto
from graphopt.ir import infer_shapes, verify
from graphopt.testing import parse_model
from graphopt.testing.reduce import valid
from graphopt.testing.reduce.case import Case, Take
from graphopt.testing.reduce.tidy import tidy


class Edit(Protocol):
    def __call__(
        self,
        edit: Callable[[Case, Take], None],
        model: ir.Model | str,
        taken: Collection[int] | None = None,
        *,
        feeds: list[dict[str, Any]] | None = None,
        opset: int = 18,
    ) -> Case: ...


@pytest.fixture
def edited() -> Edit:
    """The valid outcome of a reduction that takes the targets of those numbers, or all."""

    def edit_one(
        edit: Callable[[Case, Take], None],
        model: ir.Model | str,
        taken: Collection[int] | None = None,
        *,
        feeds: list[dict[str, Any]] | None = None,
        opset: int = 18,
    ) -> Case:
        model = parse_model(model, opset=opset) if isinstance(model, str) else model.clone()
        infer_shapes(model)
        seen = valid.observe(model, feeds or [])
        assert seen is not None
        case = Case(model, feeds or [], seen)
        before = to_proto(model).SerializeToString(deterministic=True)
        asked = [0]

        def none() -> bool:
            asked[0] += 1
            return False

        edit(case, none)
        assert to_proto(model).SerializeToString(deterministic=True) == before, (
            "taking nothing changes something"
        )
        assert asked[0], "there is nothing to take"
        count = -1

        def take() -> bool:
            nonlocal count
            count += 1
            return taken is None or count in taken

        edit(case, take)
        tidy(model)
        infer_shapes(model)
        verify(model)
        onnx.checker.check_model(to_proto(model), full_check=True)
        if feeds:
            names = {value.name for value in model.graph.inputs}
            case.feeds = [
                {name: array for name, array in feed.items() if name in names} for feed in case.feeds
            ]
            assert valid.observe(model, case.feeds) is not None
        return case

    return edit_one


@pytest.fixture
def operators() -> Callable[[Case], list[str]]:
    """The operators of the main graph, in order."""
    return lambda case: [node.op_type for node in case.model.graph]
