"""Reshape, Transpose, Reshape become DepthToSpace or SpaceToDepth, and so do Slices and a Concat."""

from __future__ import annotations

import pytest

from graphopt.testing import run_pass


def _text(source: str, six: str, perm: str, four: str, result: str) -> str:
    return f"""agraph (float[{source}] x) => (float[{result}] y) <
        int64[6] six = {{{six}}}, int64[4] four = {{{four}}}
    > {{ r = Reshape(x, six)  t = Transpose<perm=[{perm}]>(r)  y = Reshape(t, four) }}"""


@pytest.mark.parametrize(
    ("text", "op"),
    [
        (_text("N,12,4,5", "-1,2,2,3,4,5", "0,3,4,1,5,2", "-1,3,8,10", "N,3,8,10"), "DepthToSpace"),
        (_text("2,12,4,5", "2,3,2,2,4,5", "0,1,4,2,5,3", "2,3,8,-1", "2,3,8,10"), "DepthToSpace"),
        (_text("2,12,4,W", "2,3,2,2,4,-1", "0,1,4,2,5,3", "2,3,8,-1", "2,3,8,V"), "DepthToSpace"),
        (_text("2,27,4,5", "2,3,3,3,4,5", "0,1,4,2,5,3", "2,3,12,15", "2,3,12,15"), "DepthToSpace"),
        (_text("N,3,8,10", "-1,3,4,2,5,2", "0,3,5,1,2,4", "-1,12,4,5", "N,12,4,5"), "SpaceToDepth"),
        (_text("2,3,9,6", "2,3,3,3,2,3", "0,3,5,1,2,4", "2,27,3,2", "2,27,3,2"), "SpaceToDepth"),
    ],
)
def test_views(text: str, op: str) -> None:
    assert run_pass(text, "views-to-depth").ops == [op]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            _text("2,3,8,10", "2,3,4,2,5,2", "0,1,3,5,2,4", "2,12,4,5", "2,12,4,5"),
            "views-as-space-to-depth: the channels come in another order than those of SpaceToDepth",
        ),
        (
            _text("2,12,4,4", "2,3,4,1,4,4", "0,1,4,2,5,3", "2,3,16,4", "2,3,16,4"),
            "views-as-depth-to-space: the blocks are not square, or of a size that is not known",
        ),
        (
            _text("2,12,4,4", "2,3,2,2,2,8", "0,1,4,2,5,3", "2,3,4,16", "2,3,4,16"),
            "views-as-depth-to-space: the Reshape splits more than the channels",
        ),
        (
            _text("2,8,2,4", "2,2,2,2,2,4", "0,1,4,2,5,3", "4,2,4,4", "4,2,4,4"),
            "views-as-depth-to-space: the batch, height and width of the result are not known to be those of "
            "DepthToSpace",
        ),
        (_text("2,12,4,4", "2,3,2,2,4,4", "0,1,5,2,4,3", "2,3,8,8", "2,3,8,8"), None),
    ],
)
def test_others_stay(text: str, reason: str | None) -> None:
    run = run_pass(text, "views-to-depth")
    assert not run.changes
    assert dict(run.refusals) == ({reason: 1} if reason else {})


def _slices(*starts: tuple[int, int], both: bool = True, dtype: str = "float") -> str:
    """Each second pixel along both axes, from those starts, by one Slice or two."""
    lines = []
    for i, (row, column) in enumerate(starts):
        rows, columns = f"k{row}, far, k2, two", f"k{column}, far, k3, two"
        lines.append(
            f"s{i} = Slice(x, k{row}{column}, ends, axes, steps)"
            if both
            else f"r{i} = Slice(x, {rows}) s{i} = Slice(r{i}, {columns})"
        )
    parts = ", ".join(f"s{i}" for i in range(len(starts)))
    return f"""agraph ({dtype}[N,3,8,10] x) => ({dtype}[N,C,H,W] y) <
        int64[2] k00 = {{0, 0}}, int64[2] k01 = {{0, 1}}, int64[2] k10 = {{1, 0}}, int64[2] k11 = {{1, 1}},
        int64[1] k0 = {{0}}, int64[1] k1 = {{1}}, int64[1] k2 = {{2}}, int64[1] k3 = {{3}},
        int64[1] two = {{2}}, int64[1] far = {{2147483647}},
        int64[2] ends = {{9223372036854775807, 9223372036854775807}}, int64[2] axes = {{2, 3}},
        int64[2] steps = {{2, 2}}
    > {{ {" ".join(lines)} y = Concat<axis=1>({parts}) }}"""


@pytest.mark.parametrize("both", [True, False])
def test_slices(both: bool) -> None:
    run = run_pass(_slices((0, 0), (0, 1), (1, 0), (1, 1), both=both), "views-to-depth,dce")
    assert run.ops == ["SpaceToDepth"]


def test_slices_in_another_order_stay() -> None:
    run = run_pass(_slices((0, 0), (1, 0), (0, 1), (1, 1)), "views-to-depth")
    assert not run.changes and "in another order" in next(iter(run.refusals))


def test_slices_joined_along_another_axis_stay() -> None:
    text = _slices((0, 0), (0, 1), (1, 0), (1, 1))
    assert run_pass(text.replace("axis=1", "axis=-3"), "views-to-depth").changes == 1
    assert run_pass(text.replace("axis=1", "axis=2"), "views-to-depth").changes == 0


def test_slices_of_more_axes_stay() -> None:
    """SpaceToDepth takes images alone."""
    text = _slices((0, 0), (0, 1), (1, 0), (1, 1)).replace("[N,3,8,10]", "[N,3,8,10,1]")
    assert run_pass(text.replace("[N,C,H,W]", "[N,C,H,W,V]"), "views-to-depth").changes == 0


def test_types_without_a_kernel_stay() -> None:
    run = run_pass(_slices((0, 0), (0, 1), (1, 0), (1, 1), dtype="int64"), "views-to-depth")
    assert not run.changes and "onnxruntime has no SpaceToDepth for INT64" in next(iter(run.refusals))
    views = _text("N,12,4,5", "-1,2,2,3,4,5", "0,3,4,1,5,2", "-1,3,8,10", "N,3,8,10").replace(
        "float", "int64"
    )
    run = run_pass(views, "views-to-depth")
    assert not run.changes and "onnxruntime has no DepthToSpace for INT64" in next(iter(run.refusals))


@pytest.mark.parametrize(
    "text",
    [
        _text("N,3,8,10", "-1,3,4,2,5,2", "0,3,5,1,2,4", "-1,12,20", "N,12,20").replace(
            "int64[4]", "int64[3]"
        ),
        _text("2,3,8,10", "2,3,4,2,5,2", "0,3,5,1,2,4", "2,6,8,5", "2,6,8,5"),
        _text("2,12,4,5", "2,2,2,3,4,5", "0,3,4,1,5,2", "2,6,4,10", "2,6,4,10"),
        _text("2,12,4,5", "2,2,2,3,4,5", "0,3,4,1,5,2", "2,3,10,8", "2,3,10,8"),
        _text("2,12,4,5", "2,1,1,12,4,5", "0,3,4,1,5,2", "2,12,4,5", "2,12,4,5"),
        _text("2,12,4,5", "2,2,3,2,4,5", "0,3,4,1,5,2", "2,2,8,15", "2,2,8,15"),
        _text("2,12,20", "2,2,2,3,4,5", "0,3,4,1,5,2", "2,3,8,10", "2,3,8,10"),
    ],
)
def test_views_of_other_shapes_stay(text: str) -> None:
    assert run_pass(text, "views-to-depth").changes == 0


@pytest.mark.parametrize(("opset", "changes"), [(10, 0), (11, 1)])
def test_the_second_order_of_channels_needs_opset_11(opset: int, changes: int) -> None:
    text = _text("2,12,4,5", "2,3,2,2,4,5", "0,1,4,2,5,3", "2,3,8,10", "2,3,8,10")
    assert run_pass(text, "views-to-depth", opset=opset).changes == changes
    first = _text("2,12,4,5", "2,2,2,3,4,5", "0,3,4,1,5,2", "2,3,8,10", "2,3,8,10")
    assert run_pass(first, "views-to-depth", opset=opset).changes == 1
