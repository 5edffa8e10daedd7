"""Sparse tensors that contradict themselves or are enormous when written out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import onnx
from onnx import helper

from graphopt.testing.hostile.build import FLOAT, INT64, data, model, node, tensor
from graphopt.testing.hostile.case import Case


def cases() -> Iterator[Case]:
    """Sparse initializers of a shape and indices."""
    yield Case("fine", _sparse([1.0], [1], [2]))
    yield Case("index-outside", _sparse([1.0], [2], [2]), "indices outside")
    yield Case("index-negative", _sparse([1.0], [-1], [2]), "indices outside")
    yield Case("index-huge", _sparse([1.0], [1 << 62], [2]), "indices outside")
    yield Case("index-twice", _sparse([1.0, 2.0], [1, 1], [2]))
    yield Case("too-few-indices", _sparse([1.0, 2.0], [1], [2]), "has indices of shape")
    yield Case("enormous", _sparse([1.0], [1], [1 << 40]), "when dense")
    yield Case("overflowing", _sparse([1.0], [1], [1 << 40, 1 << 40]), "when dense")
    yield Case("negative", _sparse([1.0], [1], [-2]), "negative dimension")
    yield Case("million-dims", _sparse([1.0], [0], [1] * 1_000_000), "dimensions")
    yield Case("no-dims", _sparse([1.0], [0], []))
    yield Case("nothing", _initializer(onnx.SparseTensorProto()), "element type 0")
    yield Case(
        "no-indices",
        _initializer(onnx.SparseTensorProto(dims=[2], values=tensor("w", [1], float_data=[1]))),
        "element type 0",
    )
    yield Case("many", _many(), "when dense")


def _sparse(values: Sequence[float], indices: Sequence[int], dims: Sequence[int]) -> bytes:
    return _initializer(_tensor("w", values, indices, dims))


def _tensor(
    name: str, values: Sequence[float], indices: Sequence[int], dims: Sequence[int]
) -> onnx.SparseTensorProto:
    return onnx.SparseTensorProto(
        dims=dims,
        values=helper.make_tensor(name, FLOAT, [len(values)], values),
        indices=helper.make_tensor("i", INT64, [len(indices)], indices),
    )


def _initializer(*sparse: onnx.SparseTensorProto) -> bytes:
    made = model([node("Add", ["x", "w"])])
    made.graph.sparse_initializer.extend(sparse)
    return data(made)


def _many() -> bytes:
    """Each is small enough."""
    tensors = (_tensor(f"w{index}", [1.0], [1], [60 << 18]) for index in range(100))
    return _initializer(_tensor("w", [1.0], [1], [2]), *tensors)
