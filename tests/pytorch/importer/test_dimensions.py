"""Dynamic dimensions: their names, what fixes them, and specifications that do not fit."""
# mypy: allow-subclassing-any

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.export import Dim

import graphopt
from graphopt.errors import TraceError, UsageError
from graphopt.execute import Session
from graphopt.pytorch.signature import SIGNATURE_KEY


class Join(nn.Module):
    def forward(self, x: Tensor, parts: dict[str, list[Tensor]]) -> Tensor:
        return torch.cat([x, *parts["more"]]).reshape(-1)


class Add(nn.Module):
    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return x + y


class Long(nn.Module):
    def forward(self, x: Tensor, **options: Tensor) -> Tensor:
        if x.shape[0] > 3:
            x = x * 2
        return x + options.get("bias", 0)


def dims(model: Any) -> list[list[Any]]:
    values = (*model.graph.inputs, *model.graph.outputs)
    return [[d if isinstance(d, int) else d.value for d in value.shape] for value in values]


def notes(model: Any) -> tuple[str, ...]:
    found: tuple[str, ...] = model.meta[SIGNATURE_KEY].notes
    return found


def test_names_go_into_expressions() -> None:
    inputs = (torch.ones(4, 3), {"more": [torch.ones(2, 3), torch.ones(2, 3)]})
    shapes = {"x": {0: "first"}, "parts": {"more": [{0: "second"}, {0: "second"}]}}
    model = graphopt.trace(Join(), inputs, shapes)
    assert dims(model)[:3] == [["first", 3], ["second", 3], ["second", 3]]
    assert {"first", "second"} <= set(dims(model)[3][0].replace("*", " ").split())


@pytest.mark.parametrize(
    "shapes",
    [
        {"x": {0: "rows"}, "y": {0: "rows"}},
        ({0: "rows"}, {0: "rows"}),
        (("rows", None), ["rows", None]),
        {"x": {0: Dim("rows")}, "y": {0: Dim("rows")}},
        {"x": {0: Dim("rows", min=1, max=99)}, "y": {-2: "rows"}},
    ],
)
def test_every_form_of_a_name(shapes: Any) -> None:
    model = graphopt.trace(Add(), (torch.ones(4, 3), torch.ones(4, 3)), shapes)
    assert dims(model) == [["rows", 3]] * 3


def test_dimensions_without_a_name_are_called_after_their_input() -> None:
    model = graphopt.trace(nn.ReLU(), torch.ones(4, 3), {0: Dim.DYNAMIC, 1: Dim.AUTO})
    assert dims(model) == [["input_0", "input_1"]] * 2


def test_two_names_for_what_has_to_be_equal() -> None:
    model = graphopt.trace(Add(), (torch.ones(4), torch.ones(4)), ({0: "a"}, {0: "b"}))
    assert dims(model) == [["a"]] * 3
    assert notes(model) == ("dimensions 'a' and 'b' must be equal: both are called 'a' in the graph",)


@pytest.mark.parametrize("size", [0, 1])
def test_an_example_of_size_one_or_none(size: int) -> None:
    model = graphopt.trace(nn.Linear(3, 2), torch.ones(size, 3), {"input": {0: "batch"}})
    assert dims(model) == [["batch", 3], ["batch", 2]]
    assert Session(model).run({"input": torch.ones(5, 3).numpy()})["output"].shape == (5, 2)


def test_a_branch_on_a_size_narrows_it() -> None:
    model = graphopt.trace(
        Long(), {"x": torch.ones(5), "bias": torch.ones(5)}, {"x": {0: "n"}, "bias": {0: "n"}}
    )
    assert dims(model) == [["n"]] * 3
    assert notes(model) == ("the graph holds where 'n' is at least 4",)
    with pytest.raises(TraceError, match=r"not every size of 'n'.*`if x.shape\[0\] > 3:`") as caught:
        graphopt.trace(Long(), torch.ones(5), {"x": {0: Dim("n")}})
    assert caught.value.hint is not None and "Dim('n', min=4)" in caught.value.hint


def test_what_fixes_a_dimension_is_told() -> None:
    with pytest.raises(
        TraceError, match=r"dimension 0 of 'x' was asked to vary, and is fixed to 4"
    ) as caught:
        graphopt.trace(Add(), (torch.ones(4), torch.ones(4)), {"x": {0: "n"}})
    line = Add.forward.__code__.co_firstlineno + 1
    assert f"`return x + y` ({__file__.rsplit('/')[-1]}:{line}" in caught.value.message.replace(
        "tests/pytorch/importer/", ""
    )
    assert caught.value.hint is not None and "Dim.AUTO" in caught.value.hint


@pytest.mark.parametrize(
    ("shapes", "problem"),
    [
        ({"z": {0: "n"}}, "names 'z', which is no argument"),
        ({"x": {5: "n"}}, "'x' has 2 dimensions, no dimension 5"),
        ({"x": {"n": 0}}, "'n' is no axis"),
        ({"x": "n"}, "'x' is a tensor, which 'n' does not describe"),
        (({}, {}, {}), "describes 3 arguments, 2 were given"),
        ({"x": {0: "batch size"}}, "'batch size' cannot name a dimension"),
        ({"x": {0: "n"}, "y": {1: "n"}}, "dimension 'n' is 4 in one example input and 3 in another"),
        ("n", "describes no arguments"),
    ],
)
def test_specifications_that_do_not_fit(shapes: Any, problem: str) -> None:
    with pytest.raises(UsageError, match=problem) as caught:
        graphopt.trace(Add(), (torch.ones(4, 3), torch.ones(4, 3)), shapes)
    assert caught.value.hint
