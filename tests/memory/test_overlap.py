"""The distance at which a window may write behind where it reads: safe by brute force, and useful."""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from graphopt.memory.overlap import safe_distance


def needed_distance(
    side: tuple[int, int],
    made: tuple[int, int],
    window: tuple[int, int, int, int],
    counts: tuple[int, int, int],
) -> int:
    """By definition: the least D at which no write lands on what is still to be read."""
    kernel, stride, pad, dilation = window
    groups, channels, filters = counts
    reads: list[list[int]] = []
    places = itertools.product(range(groups), range(filters), range(made[0]), range(made[1]))
    for group, _, y, x in places:
        taps = itertools.product(range(channels), range(kernel), range(kernel))
        cells = [
            (
                (group * channels + channel) * side[0] + y * stride - pad + i * dilation,
                x * stride - pad + j * dilation,
            )
            for channel, i, j in taps
            if 0 <= y * stride - pad + i * dilation < side[0]
            and 0 <= x * stride - pad + j * dilation < side[1]
        ]
        reads.append([row * side[1] + column for row, column in cells])
    later = [
        min(itertools.chain.from_iterable(reads[time + 1 :]), default=None) for time in range(len(reads))
    ]
    return max((time - read + 1 for time, read in enumerate(later) if read is not None), default=0)


@settings(max_examples=200, deadline=None)
@given(
    side=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    kernel=st.integers(1, 3),
    stride=st.integers(1, 3),
    pad=st.integers(0, 2),
    dilation=st.integers(1, 2),
    counts=st.sampled_from([(1, 1, 1), (3, 1, 1), (3, 1, 2), (1, 3, 2), (2, 2, 2), (1, 2, 1)]),
)
def test_safe(
    side: tuple[int, int], kernel: int, stride: int, pad: int, dilation: int, counts: tuple[int, int, int]
) -> None:
    made = tuple((size + 2 * pad - dilation * (kernel - 1) - 1) // stride + 1 for size in side)
    if min(made) < 1:
        return
    groups, channels, filters = counts
    found = safe_distance(
        side, made, [stride] * 2, [pad] * 2, groups=groups, channels=channels, filters=filters
    )
    needed = needed_distance(side, (made[0], made[1]), (kernel, stride, pad, dilation), counts)
    assert found >= max(needed, 0)
    if dilation == 1 and pad < kernel and stride <= kernel <= min(side):
        assert found == max(needed, 0)


def test_a_depthwise_convolution_needs_a_row_and_a_pixel() -> None:
    assert safe_distance((8, 8), (8, 8), (1, 1), (1, 1), groups=4, channels=1, filters=1) == 8 + 1 + 1 - 1


def test_a_strided_pool_runs_in_place() -> None:
    assert safe_distance((8, 8), (4, 4), (2, 2), (0, 0), groups=4, channels=1, filters=1) == 0


def test_a_pointwise_convolution_of_many_channels_hardly_overlaps() -> None:
    assert safe_distance((8, 8), (8, 8), (1, 1), (0, 0), groups=1, channels=4, filters=4) == 3 * 64
