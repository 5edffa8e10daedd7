"""What must feed a node: DQs before its data and weights, a bias of codes that fit theirs."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from graphopt.ir import constant
from graphopt.quant.judge.site import Obstacle, Site
from graphopt.quant.pairs import Codes, codes_of, is_dq, producer
from graphopt.quant.rules import OpRule
from graphopt.quant.wording import dtype_name


def dequantized(site: Site, place: int, is_weight: bool = False) -> ir.Node:
    """The DQ that feeds an input."""
    value = site.node.inputs[place]
    source = producer(value, site.graph)
    if source is not None and is_dq(source):
        return source
    name = site.input_name(place)
    if constant(value) is not None:
        what = "weights are" if is_weight else "constant is"
        raise Obstacle(
            f"its {what} not quantized", f"its constant {name} is in float, with no DequantizeLinear"
        )
    raise Obstacle(
        "its second factor is not quantized" if is_weight else "its input is not quantized",
        f"its input {name} comes from {site.maker(value)}, not from a DequantizeLinear",
    )


def check_bias(site: Site, rule: OpRule, place: int, read: list[ir.Node]) -> None:
    """Stops where a bias is not in codes, or in codes of other scales than data times weights."""
    value = site.node.inputs[place]
    source, name = producer(value, site.graph), site.input_name(place)
    if source is not None and is_dq(source):
        dtype = codes_of(source).dtype
        if dtype == site.rules.bias.dtype:
            _check_bias_scale(site, rule, name, codes_of(source), read)
            return
        raise Obstacle(
            "its bias has codes of another type",
            f"its bias {name} has codes of {dtype_name(dtype)}, and must have int32",
        )
    if constant(value) is None:
        raise Obstacle(
            "its bias is computed",
            f"its bias {name} comes from {site.maker(value)}, neither constant nor dequantized",
        )
    raise Obstacle("its bias is not quantized", f"its bias {name} is in float, with no DequantizeLinear")


def _check_bias_scale(site: Site, rule: OpRule, name: str, bias: Codes, read: list[ir.Node]) -> None:
    data, weights = codes_of(read[0]).scale, codes_of(read[-1]).scale
    if not rule.bias_tolerance or bias.scale is None or data is None or weights is None:
        return
    relative, absolute = rule.bias_tolerance
    wanted = (data * weights).reshape(-1)
    found = bias.scale.reshape(-1)
    if found.size not in (1, wanted.size) and wanted.size != 1:
        raise Obstacle(
            "its bias has other scales than its weights",
            f"its bias {name} has {found.size} scales, its weights have {wanted.size}",
        )
    with np.errstate(invalid="ignore"):
        fits = np.abs(found - wanted) <= absolute + relative * np.abs(wanted)
    if not fits.all():
        raise Obstacle(
            "its bias has another scale than its input times its weights",
            f"its bias {name} does not have the scale of its input times that of its weights",
        )
