"""Where zeros may be, and that those of least worth are chosen."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphopt.errors import UsageError
from graphopt.pruning.sparsity import Sparsity

STRUCTURES = ("", "2:4", "1:4", "3:8", "1x4", "4x1", "2x2", "1x8")


def structure(text: str) -> Sparsity:
    return Sparsity.parse(pattern=text) if ":" in text else Sparsity.parse(block=text)


@pytest.mark.parametrize("pattern", ["4:2", "2:2", "0:4", "2-4", "a:b", "2:4:8"])
def test_patterns_that_are_none(pattern: str) -> None:
    with pytest.raises(UsageError, match="expected N:M"):
        Sparsity.parse(pattern=pattern)


@pytest.mark.parametrize("block", ["4", "0x1", "4:4", "x4"])
def test_blocks_that_are_none(block: str) -> None:
    with pytest.raises(UsageError, match="expected OUTPUTSxINPUTS"):
        Sparsity.parse(block=block)


def test_a_pattern_and_a_block() -> None:
    with pytest.raises(UsageError, match="are given"):
        Sparsity.parse("2:4", "4x1")


@pytest.mark.parametrize(
    ("text", "outputs", "inputs", "reason"),
    [
        ("2:4", 3, 6, "its 6 inputs are no multiple of 4"),
        ("1x16", 3, 24, "its 24 inputs are no multiple of 16"),
        ("4x1", 6, 5, "its 6 outputs are no multiple of 4"),
        ("4x4", 8, 8, None),
        ("", 3, 5, None),
    ],
)
def test_what_fits(text: str, outputs: int, inputs: int, reason: str | None) -> None:
    assert structure(text).reason_against(outputs, inputs) == reason


@given(
    st.sampled_from(STRUCTURES),
    st.floats(0.05, 0.95),
    st.floats(0, 1),
    st.integers(0, 2**31),
)
@settings(max_examples=60, deadline=None)
def test_what_is_kept(text: str, rate: float, progress: float, seed: int) -> None:
    sparsity = structure(text)
    scores = np.random.default_rng(seed).random((2, 8, 24)) + 0.1
    kept = sparsity.kept(scores, rate)
    assert sparsity.is_met(scores * kept, rate)
    assert sparsity.reason_against(8, 24) is None
    if sparsity.most:
        runs = kept.reshape(-1, sparsity.run)
        assert (runs.sum(axis=1) == sparsity.most).all()
    else:
        blocks = sparsity.blocks(scores.size)
        assert sparsity.zeros(scores * kept) == round(rate * blocks)
        by_block = sparsity.by_block(scores)
        gone = ~(sparsity.by_block(kept * 1.0) > 0)
        if gone.any() and not gone.all():
            assert by_block[gone].max() <= by_block[~gone].min()
    partly = sparsity.kept(scores, rate, progress)
    assert not (kept & ~partly).any(), "what goes first goes at last, too"


@given(st.sampled_from(STRUCTURES), st.integers(0, 2**31))
@settings(max_examples=20, deadline=None)
def test_zeros_that_are_there_go_first(text: str, seed: int) -> None:
    random = np.random.default_rng(seed)
    sparsity = structure(text)
    scores = random.random((1, 8, 24)) + 0.1
    scores *= sparsity.kept(random.random((1, 8, 24)), 0.5)
    assert not (sparsity.kept(scores, 0.5) & (scores == 0)).any()
