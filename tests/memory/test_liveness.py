"""Live ranges in any order, and orders that are none."""

from __future__ import annotations

import pytest

from graphopt.cost.dims import Dims
from graphopt.errors import ModelError
from graphopt.ir import infer_shapes
from graphopt.memory.check_order import check_order
from graphopt.memory.liveness import Pins, live_ranges, rounded
from graphopt.memory.steps import Steps, steps_of
from graphopt.testing import parse_model


@pytest.fixture
def diamond() -> Steps:
    text = """g (float[4] x, float[4] unread) => (float[4] y, float[4] a) {
        a = Relu(x) b = Neg(a) c = Exp(x) y = Add(b, c) }"""
    model = parse_model(text)
    infer_shapes(model)
    return steps_of(model.graph, Dims(model).known_shape)


def ranges(steps: Steps, *args: object) -> dict[str | None, tuple[int, int]]:
    found = live_ranges(steps, *args)  # type: ignore[arg-type]
    return dict(zip((value.name for value in steps.values), found, strict=True))


def test_from_making_to_the_last_use_or_the_end(diamond: Steps) -> None:
    assert ranges(diamond) == {
        "x": (0, 3),
        "unread": (0, 0),
        "a": (0, 4),
        "b": (1, 4),
        "c": (2, 4),
        "y": (3, 4),
    }


def test_in_another_order(diamond: Steps) -> None:
    found = ranges(diamond, [2, 0, 1, 3])
    assert (found["x"], found["c"], found["b"]) == ((0, 2), (0, 4), (2, 4))


def test_pins_last_for_the_whole_run(diamond: Steps) -> None:
    found = ranges(diamond, None, Pins(inputs=True, outputs=True))
    assert {found[name] for name in ("x", "unread", "a", "y")} == {(0, 4)}


def test_sizes_are_rounded_up() -> None:
    assert [rounded(size) for size in (0, 1, 64, 65)] == [0, 64, 64, 128]


@pytest.mark.parametrize(
    ("order", "message"),
    [
        ([1, 0, 2, 3], "'a' is read by"),
        ([0, 1, 2], "does not run each"),
        ([0, 0, 1, 2, 3], "does not run each"),
    ],
)
def test_what_is_no_order_is_refused(diamond: Steps, order: list[int], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        check_order(diamond, order)
