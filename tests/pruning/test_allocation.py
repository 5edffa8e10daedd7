"""How many units each group loses: what convolutions take by their counts, and goals that are met closely."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import onnx_ir as ir
import pytest

from graphopt.ir import infer_shapes
from graphopt.pruning import Axis, Group, Groups, dependency_groups
from graphopt.pruning.allocation import Amount, Work, allocate
from graphopt.pruning.importance import Ranking
from graphopt.testing import parse_model


def chain(*channels: int) -> Groups:
    """The groups of convolutions one after the other, each with so many channels and all read by the next."""
    counts = [3, *channels, 5]
    sizes = {f"w{place}": (made, read) for place, (read, made) in enumerate(itertools.pairwise(counts))}
    values = ["x", *(f"c{place}" for place in range(len(channels))), "y"]
    body = " ".join(f"{values[place + 1]} = Conv({values[place]}, w{place})" for place in range(len(sizes)))
    return groups_of(sizes, body)


def groups_of(sizes: Mapping[str, tuple[int, int]], body: str) -> Groups:
    """The groups of 1x1 convolutions with weights of so many outputs and inputs."""
    declared = ", ".join(f"float[{made},{read},1,1] {name}" for name, (made, read) in sizes.items())
    model = parse_model(f"agraph (float[1,3,4,4] x, {declared}) => (float[1,5,4,4] y) {{ {body} }}")
    for value in list(model.graph.inputs)[1:]:
        value.const_value = ir.tensor(np.ones((*sizes[value.name or ""], 1, 1), np.float32), name=value.name)
        model.graph.inputs.remove(value)
        model.graph.register_initializer(value)
    infer_shapes(model)
    return dependency_groups(model)


def made(group: Group) -> Axis:
    """The channels that a group's convolution makes."""
    return next(axis for axis in group.axes if axis.axis == 1 and not axis.value.is_initializer())


def amount_of(groups: Groups, amounts: Sequence[float]) -> Amount:
    """So much in proportion to the channels of each group."""
    works = [Work(each, (made(group),)) for group, each in zip(groups.groups, amounts, strict=True)]
    return Amount(groups, works)


def even(groups: Groups) -> list[Ranking]:
    """Units that all matter as much."""
    return [Ranking(np.arange(len(each)), np.full(len(each), 1 / len(each))) for each in groups.groups]


@pytest.mark.parametrize(("gone", "left"), [(16, 2.0), (15, 3 * 2.5), (12, 3.0), (4, 3.0), (3, 3 * 2.5)])
def test_convolutions_take_time_by_blocks_of_channels_and_longer_for_uneven_counts(
    gone: int, left: float
) -> None:
    groups = chain(48)
    group = groups.groups[0]
    time = Amount(groups, [Work(3.0, (made(group),), (made(group), 2.5))], block=16)
    assert time.saved(group, gone) == pytest.approx(3.0 - left)
    count = Amount(groups, [Work(48.0, (made(group),), (made(group), 2.5))])
    assert count.saved(group, gone) == pytest.approx(gone)


def test_where_nothing_tells_channels_apart_those_go_that_take_time() -> None:
    groups = chain(64, 64)
    work, time = amount_of(groups, (1.0, 1.0)), amount_of(groups, (9.0, 1.0))
    rankings = even(groups)
    rankings[0].losses[:] *= 5.0
    assert allocate(groups.groups, rankings, work.copy(), 0.25, align=16, beside=time.copy()) == [32, 0]
    told = [np.concatenate([[0.0], np.cumsum(each.losses)]) for each in rankings]
    assert allocate(groups.groups, rankings, work, 0.25, align=16, beside=time, curves=told) == [0, 32]


def residual(blocks: int) -> Groups:
    """The groups of a stream that so many blocks of two convolutions add to, and of what is inside."""
    sizes = {"first": (64, 3), "last": (5, 64)}
    body = "s0 = Conv(x, first)"
    for block in range(blocks):
        sizes |= {f"w{block}": (64, 64), f"v{block}": (64, 64)}
        body += f" i{block} = Conv(s{block}, w{block}) o{block} = Conv(i{block}, v{block})"
        body += f" s{block + 1} = Add(s{block}, o{block})"
    return groups_of(sizes, f"{body} y = Conv(s{blocks}, last)")


def test_a_stream_that_many_layers_read_stays_where_more_time_goes_without_it() -> None:
    groups = residual(6)
    assert [group.name for group in groups.groups] == ["first", *(f"w{block}" for block in range(6))]
    work, time = amount_of(groups, (0.82, *[0.03] * 6)), amount_of(groups, (0.34, *[0.11] * 6))
    stream, *others = allocate(groups.groups, even(groups), work, 0.41, align=16, beside=time)
    assert stream < min(others)
    assert work.present == pytest.approx(0.59, abs=0.01)


def test_a_group_whose_steps_are_too_long_takes_shorter_ones_before_another_is_emptied() -> None:
    groups = chain(32, 256)
    rankings = even(groups)
    rankings[1] = Ranking(np.arange(256), np.geomspace(1e-3, 1e3, 256))
    amount = amount_of(groups, (1.0, 1.0))
    taken = allocate(groups.groups, rankings, amount, 0.2, align=16)
    assert amount.present == pytest.approx(1.6, abs=0.004)
    assert 0 < taken[0] < 16


def test_finer_groups_make_even_what_a_coarse_one_misses() -> None:
    groups = chain(4, 128)
    amount = amount_of(groups, (1.0, 0.3))
    taken = allocate(groups.groups, even(groups), amount, 0.5)
    assert amount.present == pytest.approx(0.65, abs=0.0065)
    assert taken[0] in (1, 2)
