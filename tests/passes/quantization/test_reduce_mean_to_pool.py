"""A mean becomes a pool only where it is over all spatial axes."""

from __future__ import annotations

import pytest

from graphopt.testing import run_pass

PASS = "reduce-mean-to-pool"


@pytest.mark.parametrize("axes", ["2, 3", "-1, -2", "3, -2"])
def test_a_mean_over_spatial_axes_is_a_pool(axes: str) -> None:
    run = run_pass(
        f"""agraph (float[n,3,4,5] x) => (float[n,3,1,1] y) <int64[2] axes = {{{axes}}}> {{
            y = ReduceMean(x, axes)
        }}""",
        PASS,
        opset=18,
    )
    assert run.ops == ["GlobalAveragePool"]


def test_axes_that_go_are_squeezed() -> None:
    run = run_pass(
        """agraph (float[2,3,4,5] x) => (float[2,3] y) {
            y = ReduceMean <axes = [2, 3], keepdims = 0> (x)
        }""",
        PASS,
        opset=13,
    )
    assert run.ops == ["GlobalAveragePool", "Squeeze"]


def test_one_spatial_axis_is_enough() -> None:
    run = run_pass(
        "agraph (float[2,3,4] x) => (float[2,3,1] y) { y = ReduceMean <axes = [2]> (x) }", PASS, opset=13
    )
    assert run.ops == ["GlobalAveragePool"]


@pytest.mark.parametrize(
    ("shapes", "axes", "reason"),
    [
        ("2,3,4,5] x) => (float[2,3,4,1", "3", "the mean is over other axes than the spatial ones"),
        ("2,3,4,5] x) => (float[2,1,4,5", "1", "the mean is over other axes than the spatial ones"),
        ("2,3,4,5] x) => (float[2,1,1,1", "1,2,3", "the mean is over other axes than the spatial ones"),
        ("2,3] x) => (float[2,1", "1", "it is not known to have spatial axes"),
        ("2,3,1,2,1,2] x) => (float[2,3,1,1,1,1", "2,3,4,5", "onnxruntime has no pool over 4 axes"),
    ],
)
def test_other_means_stay(shapes: str, axes: str, reason: str) -> None:
    run = run_pass(f"agraph (float[{shapes}] y) {{ y = ReduceMean <axes = [{axes}]> (x) }}", PASS, opset=13)
    assert run.ops == ["ReduceMean"]
    assert any(told.endswith(reason) for told in run.refusals)


def test_a_mean_of_doubles_stays() -> None:
    run = run_pass(
        "agraph (double[2,3,4,5] x) => (double[2,3,1,1] y) { y = ReduceMean <axes = [2, 3]> (x) }",
        PASS,
        opset=13,
    )
    assert run.ops == ["ReduceMean"]


def test_a_mean_of_nothing_stays() -> None:
    run = run_pass(
        "agraph (float[2,3,0,5] x) => (float[2,3,1,1] y) { y = ReduceMean <axes = [2, 3]> (x) }",
        PASS,
        opset=13,
    )
    assert run.ops == ["ReduceMean"]
