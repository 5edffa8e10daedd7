"""Reshape, Transpose, Reshape become DepthToSpace or SpaceToDepth."""

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
        (_text("2,12,4,4", "2,3,2,2,4,4", "0,1,5,2,4,3", "2,3,8,8", "2,3,8,8"), None),
    ],
)
def test_others_stay(text: str, reason: str | None) -> None:
    run = run_pass(text, "views-to-depth")
    assert not run.changes
    assert dict(run.refusals) == ({reason: 1} if reason else {})
