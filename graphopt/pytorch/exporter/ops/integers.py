"""Arithmetic on quantized integers: sums in int32, and onnxruntime's QLinear operators."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import fx

from graphopt.pytorch.exporter.ops.quantization import CONTRIB, quantized_type
from graphopt.pytorch.exporter.registry import translates
from graphopt.pytorch.exporter.site import Site
from graphopt.pytorch.exporter.windows import window_of
from graphopt.pytorch.functional import integers, quantization, quantized_lstm


@translates("DynamicQuantizeLinear")
def dynamic_quantize_linear(site: Site) -> list[fx.Node]:
    parts = site.call(integers.dynamic_quantize, site.tensor(0))
    return [site.item(parts, index) for index in range(3)]


@translates("MatMulInteger")
def matmul_integer(site: Site) -> fx.Node:
    return site.call(integers.matmul_integer, *_given(site, 4))


@translates("ConvInteger")
def conv_integer(site: Site) -> fx.Node:
    operands = [site.tensor(0), site.tensor(1), site.optional(2), site.optional(3)]
    return site.call(integers.conv_integer, *operands, **_window(site, 1))


@translates("QLinearMatMul")
def qlinear_matmul(site: Site) -> fx.Node:
    return site.call(integers.qlinear_matmul, *_given(site, 8), quantized_type(site, 7))


@translates("QLinearConv")
def qlinear_conv(site: Site) -> fx.Node:
    operands = [*_given(site, 8), site.optional(8)]
    return site.call(integers.qlinear_conv, *operands, **_window(site, 3), dtype=quantized_type(site, 7))


@translates("QLinearConv", domain=CONTRIB)
def contrib_qlinear_conv(site: Site) -> fx.Node:
    """The standard's, of images whose channels may come last."""
    last = bool(site.attribute("channels_last", 0))
    x, *parts = _given(site, 8)
    if last:
        x = site.call(torch.movedim, x, -1, 1)
    parts.append(site.optional(8))
    dtype = quantized_type(site, 7)
    y = site.call(integers.qlinear_conv, x, *parts, **_window(site, 3), dtype=dtype)
    return site.call(torch.movedim, y, 1, -1) if last else y


@translates("QGemm", domain=CONTRIB)
def qgemm(site: Site) -> fx.Node:
    """Quantized where it has a scale for its result, otherwise floats."""
    parts = [site.optional(index) for index in range(9)]
    dtype = quantized_type(site, 8) if site.has(7) else None
    alpha = site.attribute("alpha", 1.0)
    transposed = {name: True for name in ("trans_a", "trans_b") if site.attribute(_camel(name), 0)}
    return site.call(integers.qgemm, *parts, **transposed, alpha=None if alpha == 1 else alpha, dtype=dtype)


@translates("MatMulIntegerToFloat", domain=CONTRIB)
def matmul_integer_to_float(site: Site) -> fx.Node:
    a, b, a_scale, b_scale, *rest = _given(site, 7, least=4)
    return site.call(integers.matmul_integer_to_float, a, b, a_scale, b_scale, *rest)


@translates("DynamicQuantizeMatMul", domain=CONTRIB)
def dynamic_quantize_matmul(site: Site) -> fx.Node:
    parts = site.call(integers.dynamic_quantize, site.tensor(0))
    a, a_scale, a_zero_point = (site.item(parts, index) for index in range(3))
    return site.call(
        integers.matmul_integer_to_float,
        a,
        site.tensor(1),
        a_scale,
        site.tensor(2),
        a_zero_point,
        site.optional(3),
        site.optional(4),
    )


@translates("DynamicQuantizeLSTM", domain=CONTRIB)
def dynamic_quantize_lstm(site: Site) -> list[fx.Node]:
    if site.has(4) or site.has(7) or site.attribute("clip", 0.0) or site.attribute("input_forget", 0):
        site.refuse("it has lengths, peepholes, a clip, or a gate for two")
    given = [name.lower() for name in site.attribute("activations") or ()]
    if given not in ([], ["sigmoid", "tanh", "tanh"], ["sigmoid", "tanh", "tanh"] * 2):
        site.refuse("its activations are not the usual ones")
    operands = [site.optional(index) for index in (0, 1, 2, 3, 5, 6, 8, 9, 10, 11)]
    direction = site.attribute("direction", "forward")
    results = site.call(
        quantized_lstm.dynamic_quantize_lstm,
        *operands,
        direction=None if direction == "forward" else direction,
    )
    return [site.item(results, index) for index in range(3)]


@translates("MatMulNBits", domain=CONTRIB)
def matmul_n_bits(site: Site) -> fx.Node:
    """The weight is dequantized at run time; PyTorch has no product with packed integers."""
    if site.has(4):
        site.refuse("its groups are reordered (g_idx)")
    bits, rows, block = (site.attribute(name) for name in ("bits", "K", "block_size"))
    weight = site.call(
        integers.unpack_weight,
        site.tensor(1),
        site.tensor(2),
        site.optional(3),
        4 if bits is None else bits,
        rows,
        block,
    )
    return site.call(F.linear, site.tensor(0), weight, site.optional(5))


@translates("QLinearAdd", "QLinearMul", domain=CONTRIB)
def qlinear_binary(site: Site) -> fx.Node:
    function = integers.qlinear_add if site.node.op_type == "QLinearAdd" else integers.qlinear_mul
    parts = [site.optional(index) for index in range(8)]
    return site.call(function, *parts, quantized_type(site, 7))


@translates("QLinearSigmoid", domain=CONTRIB)
def qlinear_sigmoid(site: Site) -> fx.Node:
    return _requantized(site, site.call(torch.sigmoid, _floats(site, 0)), 3)


@translates("QLinearLeakyRelu", domain=CONTRIB)
def qlinear_leaky_relu(site: Site) -> fx.Node:
    alpha = site.attribute("alpha", 0.01)
    return _requantized(site, site.call(F.leaky_relu, _floats(site, 0), alpha), 3)


@translates("QLinearSoftmax", domain=CONTRIB)
def qlinear_softmax(site: Site) -> fx.Node:
    axis = site.attribute("axis", -1)
    if site.attribute("opset", 13) < 13 and axis != -1 and axis + 1 != site.rank(0):
        site.refuse("it is over several axes")
    return _requantized(site, site.call(F.softmax, _floats(site, 0), dim=axis), 3)


@translates("QLinearGlobalAveragePool", domain=CONTRIB)
def qlinear_global_average_pool(site: Site) -> fx.Node:
    rank = site.rank(0)
    if rank is None:
        site.refuse("its rank is not known")
    dims = list(range(1, rank - 1)) if site.attribute("channels_last", 0) else list(range(2, rank))
    return _requantized(site, site.call(torch.mean, _floats(site, 0), dims, keepdim=True), 3)


@translates("QLinearReduceMean", domain=CONTRIB)
def qlinear_reduce_mean(site: Site) -> fx.Node:
    keepdim = bool(site.attribute("keepdims", 1))
    mean = site.call(torch.mean, _floats(site, 0), list(site.attribute("axes")), keepdim=keepdim)
    return _requantized(site, mean, 3)


@translates("QLinearAveragePool", domain=CONTRIB)
def qlinear_average_pool(site: Site) -> fx.Node:
    window = window_of(site)
    if not window.is_symmetric or window.rank != 2 or site.attribute("channels_last", 0):
        site.refuse("its padding is uneven, or it is not of images with channels first")
    mean = site.call(
        F.avg_pool2d,
        _floats(site, 0),
        list(window.kernel),
        list(window.stride),
        list(window.begin),
        ceil_mode=window.ceil,
        count_include_pad=bool(site.attribute("count_include_pad", 0)),
    )
    return _requantized(site, mean, 3)


@translates("QLinearConcat", domain=CONTRIB)
def qlinear_concat(site: Site) -> fx.Node:
    parts = [_floats(site, index) for index in range(2, len(site.node.inputs), 3)]
    return _requantized(site, site.call(torch.cat, parts, dim=site.attribute("axis")), 0)


@translates("QLinearWhere", domain=CONTRIB)
def qlinear_where(site: Site) -> fx.Node:
    chosen = site.call(torch.where, site.tensor(0), _floats(site, 1), _floats(site, 4))
    return _requantized(site, chosen, 7)


def _floats(site: Site, index: int) -> fx.Node:
    """Inputs `index`, its scale and its zero point as floats."""
    given = [site.tensor(index), site.tensor(index + 1), site.optional(index + 2)]
    return site.call(quantization.dequantize, *given)


def _requantized(site: Site, y: fx.Node, index: int) -> fx.Node:
    """Floats quantized by the scale and zero point that are inputs `index` and the next."""
    zero_point = site.optional(index + 1)
    dtype = quantized_type(site, index + 1)
    return site.call(quantization.quantize, y, site.tensor(index), zero_point, dtype=dtype)


def _window(site: Site, weight: int) -> dict[str, Any]:
    window = window_of(site, weight=weight)
    if window.same is not None:
        site.refuse("its padding depends on sizes not known yet")
    groups = site.attribute("group", 1)
    return {
        "stride": list(window.stride),
        "pads": [*window.begin, *window.end],
        "dilation": list(window.dilation),
        "groups": None if groups == 1 else groups,
    }


def _given(site: Site, most: int, least: int = 0) -> list[fx.Node | None]:
    """The first inputs, without those left out at the end."""
    found = [site.optional(index) for index in range(most)]
    while len(found) > least and found[-1] is None:
        found.pop()
    return found


def _camel(name: str) -> str:
    first, second = name.split("_")
    return first + second.upper()
