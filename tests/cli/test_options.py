"""How the text of shared options is read."""

from __future__ import annotations

import pytest

from graphopt.cli.options import parse_opset, parse_shapes, parse_size
from graphopt.errors import UsageError


def test_shapes() -> None:
    assert parse_shapes([]) is None
    assert parse_shapes(["x=1x3x224x224", "a=b=2,3", "s="]) == {"x": [1, 3, 224, 224], "a=b": [2, 3], "s": []}


@pytest.mark.parametrize("text", ["1x3", "=1x3", "x=1xN", "x=1x-3", "x=1x0", "x=1.5", "x=1x", "x=\u0661"])
def test_a_shape_that_is_none(text: str) -> None:
    with pytest.raises(UsageError, match="--shape"):
        parse_shapes([text])


def test_an_input_with_two_shapes() -> None:
    with pytest.raises(UsageError, match="already"):
        parse_shapes(["x=1", "x=2"])


def test_opset() -> None:
    assert parse_opset("auto") == "auto"
    assert parse_opset("keep") == "keep"
    assert parse_opset("17") == 17


@pytest.mark.parametrize("text", ["", "latest", "-1", "0", "1.5"])
def test_an_opset_that_is_none(text: str) -> None:
    with pytest.raises(UsageError, match="--opset"):
        parse_opset(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [("4G", 4 << 30), ("500 MB", 500 << 20), ("1.5MiB", 3 << 19), ("1000000", 1_000_000), ("0.3k", 307)],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "0", "0.0001K", "-1K", "1.K", ".5M", "1e3", "4 X", "\u0661"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(UsageError, match="expected a size"):
        parse_size(text)
