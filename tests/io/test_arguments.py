"""Numbers that end a process are refused when the model is loaded."""

from __future__ import annotations

import onnx.parser
import pytest

from graphopt.errors import ModelError
from graphopt.io import load

HEADER = '<ir_version: 8, opset_import: ["" : 17]> g (float[2,2] x) => (float[N] y) '


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (
            "y = GatherND <batch_dims = -1> (x, i)",
            "'batch_dims' of GatherND of 'y' is -1, expected 0 or more",
        ),
        ("y = Cast <to = 0> (x)", "is the element type 0"),
        ("y = Cast <to = 4294967296> (x)", "is the element type 4294967296"),
    ],
)
def test_refused(node: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        load(onnx.parser.parse_model(f"{HEADER} <int64[1,1] i = {{0}}> {{ {node} }}"))


def test_the_smallest_that_is_allowed() -> None:
    load(
        onnx.parser.parse_model(f"{HEADER} <int64[1,1] i = {{0}}> {{ y = GatherND <batch_dims = 0> (x, i) }}")
    )


def test_more_dimensions_than_arrays_have() -> None:
    dims = ",".join("1" for _ in range(65))
    text = f'<ir_version: 8, opset_import: ["" : 17]> g (float[{dims}] x) => (float[N] y) {{ y = Neg(x) }}'
    with pytest.raises(ModelError, match="has 65 dimensions; at most 64 are read"):
        load(onnx.parser.parse_model(text))
