"""Rounding methods: on their grid, and with less output error than rounding to nearest."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest

from graphopt.errors import UsageError
from graphopt.quant import Scheme, affine_for, mse
from graphopt.quant.rounding import Gram, coordinate_descent, gptq, hqq, nearest, patches
from graphopt.quant.rounding.gptq import inverse_factor

Array = npt.NDArray[Any]
SCHEMES = ["int4:symmetric,axis=0", "int8:symmetric,axis=0", "uint4:axis=1,block=16", "int4", "uint2:axis=0"]
DEMO = Path(__file__).parents[3] / "graphopt" / "demo"


def correlated(samples: int, inputs: int, seed: int) -> Array:
    """Inputs that share a few causes and are not centered, as behind an activation."""
    random = np.random.default_rng(0)
    causes = random.standard_normal((inputs // 4, inputs))
    x = np.random.default_rng(seed).standard_normal((samples, inputs // 4)) @ causes
    return np.maximum(x + np.random.default_rng(seed + 1).standard_normal(x.shape), 0).astype(np.float32)


@cache
def layer_of_the_digits(name: str) -> tuple[Array, Array, Array]:
    """Weight matrix of a layer of the demo's network, and its inputs for two halves of the test images."""
    import onnxruntime

    model = onnx.load(DEMO / "digits.onnx")
    node = next(node for node in model.graph.node if name in node.input)
    model.graph.output.append(onnx.helper.make_empty_tensor_value_info(node.input[0]))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    images = np.load(DEMO / "digits_test.npz")["images"].astype(np.float32)
    (x,) = session.run([node.input[0]], {"image": images})
    w = onnx.numpy_helper.to_array(next(each for each in model.graph.initializer if each.name == name))
    if w.ndim == 2:
        return w, x[:250], x[250:]
    halves = (patches(half, w.shape[2:], strides=(2, 2), pads=(1, 1, 1, 1)) for half in (x[:250], x[250:]))
    return w.reshape(len(w), -1), next(halves), next(halves)


@cache
def random_layer() -> tuple[Array, Array, Array]:
    w = np.random.default_rng(0).standard_normal((24, 96)).astype(np.float32)
    return w, correlated(600, 96, 1), correlated(600, 96, 5)


LAYERS: dict[str, Callable[[], tuple[Array, Array, Array]]] = {
    "random": random_layer,
    "convolution": lambda: layer_of_the_digits("down.0.weight"),
    "product": lambda: layer_of_the_digits("head.0.weight"),
}


def gram(x: Array) -> Gram:
    found = Gram(x.shape[1])
    found.observe(x)
    return found


def output_error(w: Array, rounded: Array, x: Array) -> float:
    return mse(x @ w.T, x @ rounded.T)


@pytest.mark.parametrize("text", SCHEMES)
@pytest.mark.parametrize("layer", LAYERS)
def test_output_error_goes_down(layer: str, text: str) -> None:
    w, seen, unseen = LAYERS[layer]()
    affine, inputs = affine_for(w, Scheme.parse(text), "mse"), gram(seen)
    plain = nearest(w, affine)
    by_gptq = gptq(w, affine, inputs)
    descended = coordinate_descent(w, by_gptq, inputs)
    from_plain = coordinate_descent(w, plain, inputs)
    for rounded in (by_gptq, descended, from_plain):
        np.testing.assert_array_equal(affine.fake(rounded.weight), rounded.weight)
        assert output_error(w, rounded.weight, seen) < 0.75 * output_error(w, plain.weight, seen)
        assert output_error(w, rounded.weight, unseen) < 0.85 * output_error(w, plain.weight, unseen)


@pytest.mark.parametrize("text", SCHEMES)
def test_descent_never_raises_what_it_minimizes(text: str) -> None:
    w, seen, _ = random_layer()
    inputs, start = gram(seen), nearest(w, affine_for(w, Scheme.parse(text)))
    damped = inputs.damped(0.05)
    objective = [np.sum(((start.weight - w) @ damped) * (start.weight - w))]
    for _ in range(4):
        start = coordinate_descent(w, start, inputs, damping=0.05, passes=1)
        objective.append(np.sum(((start.weight - w) @ damped) * (start.weight - w)))
    assert all(after <= before * (1 + 1e-5) for before, after in pairwise(objective))


@pytest.mark.parametrize("by_activity", [False, True])
@pytest.mark.parametrize("block", [1, 7, 1000])
def test_the_block_changes_nothing(block: int, by_activity: bool) -> None:
    w, seen, _ = random_layer()
    affine, inputs = affine_for(w, Scheme.parse("int4:symmetric,axis=0")), gram(seen)
    results = [gptq(w, affine, inputs, block=size, by_activity=by_activity).weight for size in (block, 32)]
    # Sums are taken in another order: where a value lies between two codes, either may be taken.
    assert np.mean(results[0] != results[1]) < 0.02


def test_uncorrelated_inputs_round_to_nearest() -> None:
    w = random_layer()[0]
    affine, inputs = affine_for(w, Scheme.parse("int4:axis=0")), gram(np.eye(96) * 3)
    for rounded in (gptq(w, affine, inputs), coordinate_descent(w, nearest(w, affine), inputs)):
        np.testing.assert_array_equal(rounded.weight, affine.fake(w))


@pytest.mark.parametrize(
    "x", [np.zeros((0, 96)), np.zeros((5, 96)), np.full((5, 96), np.nan), np.full((5, 96), 3e38)]
)
def test_without_inputs_it_rounds_to_nearest(x: Array) -> None:
    w = random_layer()[0]
    affine = affine_for(w, Scheme.parse("int4:axis=0"))
    np.testing.assert_array_equal(gptq(w, affine, gram(x)).weight, affine.fake(w))
    np.testing.assert_array_equal(coordinate_descent(w, nearest(w, affine), gram(x)).weight, affine.fake(w))


def test_scales_by_input_are_refused() -> None:
    w = random_layer()[0]
    for text in ("int4:axis=1", "int4:axis=0,block=4"):
        with pytest.raises(UsageError, match="scales of a matrix"):
            gptq(w, affine_for(w, Scheme.parse(text)), gram(np.ones((1, 96))))


def test_the_factor_of_an_inverse() -> None:
    x = np.random.default_rng(0).standard_normal((30, 8))
    factor = inverse_factor(x.T @ x)
    np.testing.assert_array_equal(factor, np.triu(factor))
    np.testing.assert_allclose(factor.T @ factor, np.linalg.inv(x.T @ x), rtol=1e-9)


def test_a_gram_is_the_same_from_any_batches() -> None:
    x = correlated(500, 32, 0)
    whole, parts = gram(x), Gram(32)
    for part in np.array_split(x.reshape(50, 10, 32), 7):
        parts.observe(part)
    np.testing.assert_allclose(whole.products, x.T @ x / 500, rtol=1e-5)
    np.testing.assert_allclose(parts.products, whole.products, rtol=1e-5)
    np.testing.assert_allclose(parts.mean, x.mean(axis=0), rtol=1e-5)
    w = np.random.default_rng(0).standard_normal((3, 32))
    assert whole.error(w) == pytest.approx(np.mean(np.sum((x @ w.T) ** 2, axis=1)), rel=1e-5)


@pytest.mark.parametrize(
    "text", ["uint4:axis=1,block=32", "uint4:axis=0", "int4:axis=1,block=16", "uint2:axis=1,block=16"]
)
def test_hqq_beats_the_plain_range(text: str) -> None:
    w = np.random.default_rng(0).standard_t(4, (32, 96)).astype(np.float32)
    scheme = Scheme.parse(text)
    found = hqq(w, scheme)
    assert found.codes.dtype == scheme.dtype.numpy() and found.codes.shape == w.shape
    assert found.scale.shape == found.zero_point.shape == scheme.scale_shape(w.shape)
    assert mse(w, found.weight) < 0.97 * mse(w, affine_for(w, scheme).fake(w))
    x = correlated(300, 96, 3)
    assert output_error(w, found.weight, x) < 0.97 * output_error(w, affine_for(w, scheme).fake(w), x)


def test_hqq_of_short_blocks_empty_and_constant_weights() -> None:
    scheme = Scheme.parse("uint4:axis=1,block=32")
    for w in (np.ones((3, 40)), np.zeros((3, 40)), np.zeros((3, 0)), np.linspace(-1, 2, 120).reshape(3, 40)):
        np.testing.assert_allclose(hqq(w, scheme).weight, w, atol=0.06)
    with pytest.raises(UsageError, match="symmetric scheme has none"):
        hqq(np.ones((3, 40)), Scheme.parse("int4:symmetric"))


@pytest.mark.parametrize(
    ("strides", "dilations", "pads"),
    [((1, 1), (1, 1), (0, 0, 0, 0)), ((2, 1), (1, 2), (1, 0, 2, 1)), ((1, 3), (2, 1), (1, 1, 1, 1))],
)
def test_patches_make_a_product_of_a_convolution(strides: Any, dilations: Any, pads: Any) -> None:
    from onnx.reference import ReferenceEvaluator

    random = np.random.default_rng(0)
    x = random.standard_normal((2, 3, 9, 8)).astype(np.float32)
    w = random.standard_normal((5, 3, 3, 2)).astype(np.float32)
    node = onnx.helper.make_node("Conv", ["x", "w"], ["y"], strides=strides, dilations=dilations, pads=pads)
    y: Array
    (y,) = ReferenceEvaluator(node).run(None, {"x": x, "w": w})  # type: ignore[assignment]
    rows = patches(x, (3, 2), strides=strides, dilations=dilations, pads=pads)
    np.testing.assert_allclose(
        np.asarray(rows @ w.reshape(5, -1).T), np.moveaxis(y, 1, -1).reshape(-1, 5), rtol=1e-4, atol=1e-5
    )
    few = patches(x, (3, 2), strides=strides, dilations=dilations, pads=pads, at_most=7)
    assert 0 < len(few) <= 7 and all(any(np.array_equal(one, row) for row in rows) for one in few)
