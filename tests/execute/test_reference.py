"""The reference evaluator, held against onnxruntime, which has a Conv of floats and none of doubles."""

from __future__ import annotations

import numpy as np
import pytest

from graphopt.execute import Session
from graphopt.testing import parse_model


@pytest.mark.parametrize("operands", ["n, yes, s", "n, , s", ", yes, s", "n, no, s"])
@pytest.mark.parametrize("trips", [0, 1, 3])
@pytest.mark.parametrize("sizes", [(), (1,), (2,), (2, 3)])
def test_what_a_loop_yields_is_stacked(operands: str, trips: int, sizes: tuple[int, ...]) -> None:
    results = []
    for dtype, backend in (("float", "onnxruntime"), ("double", "onnx.reference")):
        row = f"{dtype}[{','.join(map(str, sizes))}]" if sizes else dtype
        model = parse_model(
            f"""g ({row} x, {dtype}[1,1,1,1] k, {dtype} s, int64 n, int64 most, bool yes, bool no)
                => (last, all) {{
            last, all = Loop ({operands}) <body =
                b (int64 i, bool c, {dtype} t) => (bool d, {dtype} u, {row} r) {{
                   j = Conv (k, k)  h = ReduceSum <keepdims = 0> (j)
                   u = Add (t, h)  r = Add (x, u)
                   f = Cast <to = 7> (u)  d = Less (f, most) }}> }}"""
        )
        numpy_dtype = np.float32 if dtype == "float" else np.float64
        session = Session(model)
        assert session.backend == backend
        made = session.run(
            {
                "x": np.arange(np.prod(sizes), dtype=numpy_dtype).reshape(sizes),
                "k": np.ones((1, 1, 1, 1), numpy_dtype),
                "s": np.zeros((), numpy_dtype),
                "n": np.array(trips),
                "most": np.array(2),
                "yes": np.array(True),
                "no": np.array(False),
            }
        )
        results.append(made)
    for name, expected in results[0].items():
        assert results[1][name].shape == expected.shape
        np.testing.assert_array_equal(results[1][name], expected)


@pytest.mark.parametrize("opset", [9, 13, 14, 15])
def test_a_normalization_is_by_the_statistics_given(opset: int) -> None:
    results = []
    for dtype in ("float", "double"):
        model = parse_model(
            f"""g ({dtype}[2,3,4] x, {dtype}[3,3,1] w, {dtype}[3] s, {dtype}[3] v) => ({dtype}[2,3,4] y) {{
                c = Conv (x, w)  y = BatchNormalization <epsilon = 0.25> (c, s, s, s, v)
            }}""",
            opset=opset,
        )
        random = np.random.default_rng(0)
        shapes = {"x": (2, 3, 4), "w": (3, 3, 1), "s": (3,), "v": (3,)}
        feed = {name: np.abs(random.normal(size=shape)) for name, shape in shapes.items()}
        session = Session(model)
        assert (session.backend == "onnxruntime") == (dtype == "float")
        numpy_dtype = np.float32 if dtype == "float" else np.float64
        results.append(session.run({name: array.astype(numpy_dtype) for name, array in feed.items()})["y"])
    one, other = results
    np.testing.assert_allclose(one, other, rtol=1e-4)
