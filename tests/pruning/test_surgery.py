"""Weights go where others make up for them, and what stays is the best there is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from graphopt.pruning.moments import Moments
from graphopt.pruning.ranking import Ranking
from graphopt.pruning.sparsity import Sparsity
from graphopt.pruning.surgery import damped, prune, scores

Array = np.ndarray[Any, np.dtype[Any]]

STRUCTURES = (
    Sparsity(),
    Sparsity(2, 4),
    Sparsity(block=(1, 4)),
    Sparsity(block=(4, 1)),
    Sparsity(block=(2, 2)),
)


def layer(groups: int = 1, outputs: int = 16, inputs: int = 32) -> tuple[Array, Array]:
    """A weight, and mean products of inputs that hang together."""
    random = np.random.default_rng(0)
    mixed = random.normal(size=(groups, inputs, inputs)) * np.linspace(2, 0.1, inputs)
    x = random.normal(size=(groups, 400, inputs)) @ mixed + 0.5
    weight = random.normal(size=(groups, outputs, inputs)).astype(np.float32)
    return weight, x.transpose(0, 2, 1) @ x / 400


def error(weight: Array, pruned: Array, products: Array) -> float:
    off = weight.astype(np.float64) - pruned
    return float(np.sum((off @ damped(products)) * off))


@pytest.mark.parametrize("sparsity", STRUCTURES, ids=str)
@pytest.mark.parametrize("groups", [1, 4])
def test_it_is_far_nearer_than_magnitude_alone(sparsity: Sparsity, groups: int) -> None:
    weight, products = layer(groups)
    pruned, smallest = prune(weight, products, sparsity, 0.5), prune(weight, None, sparsity, 0.5)
    assert sparsity.is_met(pruned, 0.5) and sparsity.is_met(smallest, 0.5)
    assert error(weight, pruned, products) < 0.6 * error(weight, smallest, products)


@pytest.mark.parametrize("sparsity", STRUCTURES, ids=str)
def test_what_stays_is_the_least_squares_fit(sparsity: Sparsity) -> None:
    weight, products = layer()
    pruned = prune(weight, products, sparsity, 0.5)
    sums = damped(products)[0]
    for row, given in zip(pruned[0], weight[0].astype(np.float64), strict=True):
        (kept,) = np.nonzero(row)
        best = np.zeros(len(row))
        best[kept] = np.linalg.solve(sums[np.ix_(kept, kept)], sums[kept] @ given)
        off, least = given - row, given - best
        assert off @ sums @ off <= 1.01 * (least @ sums @ least) + 1e-9


def test_magnitude_keeps_the_largest_as_they_are() -> None:
    weight, _ = layer()
    pruned = prune(weight, None, Sparsity(), 0.25)
    assert np.array_equal(pruned[pruned != 0], weight[pruned != 0])
    assert np.abs(weight[pruned == 0]).max() <= np.abs(weight[pruned != 0]).min()


def test_inputs_that_are_never_anything_go_first() -> None:
    weight = np.sign(layer()[0])
    products = np.eye(32)[None] * (np.arange(32) >= 8)
    pruned = prune(weight, products, Sparsity(), 0.25)
    assert not pruned[..., :8].any()
    assert np.allclose(pruned[..., 8:], weight[..., 8:], atol=1e-3)


def test_a_layer_that_saw_nothing_is_pruned_by_magnitude() -> None:
    weight, products = layer()
    pruned = prune(weight, np.zeros_like(products), Sparsity(), 0.5)
    assert np.array_equal(pruned == 0, prune(weight, None, Sparsity(), 0.5) == 0)


@pytest.mark.parametrize("size", [1e-18, 1e12])
def test_any_scale_of_inputs(size: float) -> None:
    weight, products = layer()
    pruned, other = prune(weight, products * size, Sparsity(), 0.5), prune(weight, products, Sparsity(), 0.5)
    assert np.isfinite(pruned).all()
    assert error(weight, pruned, products) < 1.05 * error(weight, other, products)


def test_scores_are_shares_of_the_output() -> None:
    weight, products = layer()
    assert np.allclose(scores(weight, products), scores(7 * weight, 3 * products), rtol=1e-4)
    assert np.isclose(scores(weight, None).sum(), 1)


def test_moments_of_many_samples_are_the_mean_products() -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(40, 500, 12)) @ random.normal(size=(12, 12)) + 1
    moments = Moments(2, 6)
    for sample in x:
        moments.observe(sample)
    rows = x.reshape(-1, 2, 6).transpose(1, 0, 2)
    assert np.allclose(moments.products, rows.transpose(0, 2, 1) @ rows / len(rows[0]), rtol=0.02, atol=0.02)


def test_what_chance_makes_of_few_samples_is_not_believed() -> None:
    random = np.random.default_rng(0)
    moments = Moments(1, 100)
    for _ in range(10):
        moments.observe(random.normal(size=(3, 100)))
    off = moments.products[0][~np.eye(100, dtype=bool)]
    assert np.abs(off).mean() < 0.05  # 0.15 of the samples as they are


def test_moments_leave_out_what_is_not_finite() -> None:
    moments = Moments(1, 2)
    moments.observe(np.array([[1, 2], [np.nan, 1], [np.inf, 1]], np.float32))
    assert moments.samples == 1 and np.isfinite(moments.products).all()


def test_a_common_rate_takes_from_the_layers_that_bear_it() -> None:
    random = np.random.default_rng(0)
    ranking: Ranking[str] = Ranking()
    ranking.add("sensitive", 100 * random.random(1000))
    ranking.add("robust", random.random(3000))
    rates = ranking.rates(0.5)
    assert np.isclose(0.25 * rates["sensitive"] + 0.75 * rates["robust"], 0.5, atol=1e-3)
    assert rates["sensitive"] < 0.05 and rates["robust"] <= 1 - 0.25 * 0.5


def test_no_layer_is_emptied() -> None:
    ranking: Ranking[str] = Ranking()
    ranking.add("dead", np.zeros(1000))
    ranking.add("alive", np.ones(1000))
    rates = ranking.rates(0.5)
    assert np.isclose(rates["dead"], 0.875) and np.isclose(rates["alive"], 0.125)
