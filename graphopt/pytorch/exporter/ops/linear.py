"""Products of matrices, sums over indices, determinants."""

from __future__ import annotations

import operator

import onnx_ir as ir
import torch
import torch.nn.functional as F
from torch import fx

from graphopt.pytorch.exporter.dtypes import torch_dtype
from graphopt.pytorch.exporter.registry import translates
from graphopt.pytorch.exporter.site import Site
from graphopt.pytorch.exporter.unsigned import widening

# PyTorch decomposes no matrices of these.
_HALVES = frozenset({ir.DataType.FLOAT16, ir.DataType.BFLOAT16})


@translates("MatMul")
@widening()
def matmul(site: Site) -> fx.Node:
    return site.call(torch.matmul, site.tensor(0), site.tensor(1))


@translates("Gemm")
@widening()
def gemm(site: Site) -> fx.Node:
    """`F.linear` where that is what it is: a weight of shape (out, in) and a bias for each output."""
    alpha, beta = site.attribute("alpha", 1.0), site.attribute("beta", 1.0)
    bias_shape = site.shape(2) if site.has(2) else None
    is_bias = bias_shape is not None and len(bias_shape) == 1 and site.shape(1) is not None
    a = site.tensor(0)
    if site.attribute("transA", 0):
        a = site.call(torch.t, a)
    plain_bias = not site.has(2) or (is_bias and beta == 1 and bias_shape == (site.shape(1) or (0,))[:1])
    if site.attribute("transB", 0) and alpha == 1 and plain_bias:
        return site.call(F.linear, a, site.tensor(1), *([site.tensor(2)] if site.has(2) else []))
    b = site.call(torch.t, site.tensor(1)) if site.attribute("transB", 0) else site.tensor(1)
    if not site.has(2) or beta == 0:
        product = site.call(torch.matmul, a, b)
        return product if alpha == 1 else site.call(operator.mul, product, alpha)
    scales = {"alpha": None if alpha == 1 else alpha, "beta": None if beta == 1 else beta}
    return site.call(torch.addmm, site.tensor(2), a, b, **scales)


@translates("Einsum")
@widening()
def einsum(site: Site) -> fx.Node:
    tensors = [site.tensor(index) for index in range(len(site.node.inputs))]
    result = site.call(torch.einsum, site.attribute("equation"), *tensors)
    dtype = site.dtype(0)
    if dtype is None or dtype.is_floating_point() or dtype == ir.DataType.INT64:
        return result
    return site.method("to", result, torch_dtype(dtype))


@translates("Det")
def det(site: Site) -> fx.Node:
    x, dtype = site.tensor(0), site.dtype(0)
    if dtype not in _HALVES:
        return site.call(torch.det, x)
    return site.method("to", site.call(torch.det, site.method("to", x, torch.float32)), torch_dtype(dtype))
