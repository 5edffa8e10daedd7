"""What onnxruntime does not survive is refused in words before it is handed over."""

from __future__ import annotations

import pytest

from graphopt.errors import ExecutionError
from graphopt.execute import Session
from graphopt.testing import parse_model

SLICED = """
    agraph (float[1, 1, 3, 3] x) => (float[a, b, c, d] y)
    <float[1, 1, 2, 2] w = {{1, 2, 3, 4}},
     int64[1] start = {{0}}, int64[1] end = {{9}}, int64[1] axis = {{2}}>
    {{ c = {}  n = Neg(c)  y = Slice(n, start, end, axis) }}
"""


@pytest.mark.parametrize(
    "node",
    [
        "Conv <dilations = [9, 9]> (x, w)",
        "MaxPool <kernel_shape = [5, 5]> (x)",
        "AveragePool <kernel_shape = [2, 6], pads = [0, 0, 0, 1]> (x)",
    ],
)
def test_a_slice_of_a_negative_size(node: str) -> None:
    with pytest.raises(ExecutionError, match=r"its kernel of \d+ is larger than the 3|the 4 that"):
        Session(parse_model(SLICED.format(node)))


@pytest.mark.parametrize(
    "node",
    ["Conv(x, w)", 'MaxPool <kernel_shape = [5, 5], auto_pad = "SAME_UPPER"> (x)', "Relu(x)"],
)
def test_sizes_that_fit_run(node: str) -> None:
    Session(parse_model(SLICED.format(node)))
