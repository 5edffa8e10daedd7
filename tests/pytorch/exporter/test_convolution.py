"""Convolutions: every way of padding, with sizes that vary, back to ONNX, and with gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
import torch

from graphopt.errors import TranslationError
from graphopt.pytorch import to_fx

HEADER = '<ir_version: 10, opset_import: ["": 22]>'


def numbers(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(np.float32)


def graph(inputs: str, nodes: dict[str, str]) -> str:
    """A model of several nodes over the same inputs, `nodes` by the name of their output."""
    outputs = ", ".join(f"float {name}" for name in nodes)
    lines = "\n".join(f"{name} = {node}" for name, node in nodes.items())
    return f"{HEADER} g({inputs}) => ({outputs}) {{ {lines} }}"


CONVS = {
    "symmetric": "pads=[1,1,1,1]",
    "asymmetric": "pads=[1,0,2,1],strides=[2,2]",
    "valid": 'auto_pad="VALID"',
    "upper": 'auto_pad="SAME_UPPER"',
    "upper_strided": 'auto_pad="SAME_UPPER",strides=[2,2]',
    "lower_strided": 'auto_pad="SAME_LOWER",strides=[2,3],kernel_shape=[3,3]',
    "long_strides": 'auto_pad="SAME_UPPER",strides=[4,4]',
    "dilated": "dilations=[2,1],pads=[2,2,2,2]",
}

TRANSPOSED = {
    "padded": "strides=[2,2],pads=[1,1,1,1],output_padding=[1,1]",
    "more_and_less": "strides=[2,2],pads=[1,0,0,1]",
    "longer_at_end": "strides=[2,2],pads=[0,0,1,1],output_padding=[1,1]",
    "longer_at_start": "strides=[2,2],pads=[2,2,0,0],output_padding=[1,1]",
    "cut_at_start": "pads=[2,2,0,0]",
    "upper": 'auto_pad="SAME_UPPER",strides=[2,2]',
    "lower": 'auto_pad="SAME_LOWER",strides=[3,2]',
    "valid": 'auto_pad="VALID",strides=[2,2]',
}


def test_conv(come_back: Any) -> None:
    nodes = {name: f"Conv<{attributes}>(x, w, b)" for name, attributes in CONVS.items()}
    text = graph("float[N,3,H,W] x, float[4,3,3,3] w, float[4] b", nodes)
    weights = [numbers(4, 3, 3, 3), numbers(4)]
    come_back(text, [numbers(2, 3, 9, 12), *weights], [numbers(3, 3, 11, 8), *weights])


def test_transposed_conv(come_back: Any) -> None:
    nodes = {name: f"ConvTranspose<{attributes}>(x, w, b)" for name, attributes in TRANSPOSED.items()}
    text = graph("float[N,3,H,W] x, float[3,4,3,3] w, float[4] b", nodes)
    weights = [numbers(3, 4, 3, 3), numbers(4)]
    come_back(text, [numbers(2, 3, 5, 6), *weights], [numbers(3, 3, 4, 7), *weights])


@pytest.mark.parametrize("op", ["Conv<group=2,pads=[2,2,2,2]", "ConvTranspose<group=2,strides=[2,2]"])
def test_groups(agree: Any, op: str) -> None:
    bias = "float[4] b" if op.startswith("Conv<") else "float[6] b"
    weight = (4, 2, 3, 3) if op.startswith("Conv<") else (4, 3, 3, 3)
    text = graph(f"float[N,4,H,W] x, float{list(weight)} w, {bias}", {"y": f"{op},dilations=[2,2]>(x, w, b)"})
    agree(text, numbers(2, 4, 6, 7), numbers(*weight), numbers(4 if weight[1] == 2 else 6))


def test_symmetric_padding_stays_inside_and_comes_back_as_one_node(come_back: Any) -> None:
    text = graph("float[N,3,H,W] x, float[4,3,3,3] w", {"y": "Conv<pads=[1,1,1,1],strides=[2,2]>(x, w)"})
    weight = numbers(4, 3, 3, 3)
    traced = come_back(text, [numbers(2, 3, 9, 12), weight], [numbers(3, 3, 11, 8), weight])
    assert [node.op_type for node in traced.graph] == ["Conv"]


@pytest.mark.parametrize("auto_pad", ["NOTSET", "SAME_UPPER", "SAME_LOWER"])
@pytest.mark.parametrize("shape", ["[8,9]", "[9,12]", "[7,10]"])
def test_transposed_conv_to_a_size(agree: Any, auto_pad: str, shape: str) -> None:
    node = f'ConvTranspose<strides=[2,2],output_shape={shape},auto_pad="{auto_pad}">(x, w, b)'
    text = graph("float[N,3,H,W] x, float[3,4,3,3] w, float[4] b", {"y": node})
    agree(text, numbers(2, 3, 4, 5), numbers(3, 4, 3, 3), numbers(4))


@pytest.mark.parametrize(
    ("spatial", "others", "pads"), [((8,), (11,), "[1,1]"), ((5, 6, 4), (6, 4, 5), "[1,0,1,0,1,1]")]
)
def test_one_and_three_dimensions(come_back: Any, spatial: Any, others: Any, pads: str) -> None:
    names = ",".join("DHW"[: len(spatial)])
    kernel = (4, 2, *[2] * len(spatial))
    inputs = f"float[N,2,{names}] x, float{list(kernel)} w"
    text = f"{HEADER} g({inputs}) => (float y) {{ y = Conv<pads={pads}>(x, w) }}"
    given = [[numbers(2, 2, *sizes), numbers(*kernel)] for sizes in (spatial, others)]
    traced = come_back(text, *given)
    assert len(next(node for node in traced.graph if node.op_type == "Conv").inputs) == 2


def test_more_than_three_dimensions_are_refused() -> None:
    text = f"{HEADER} g(float[1,1,4,4,4,4] x, float[1,1,2,2,2,2] w) => (float y) {{ y = Conv(x, w) }}"
    with pytest.raises(TranslationError, match="4 spatial dimensions"):
        to_fx(ir.from_onnx_text(text))


def test_deformable(agree: Any) -> None:
    inputs = "float[N,4,H,W] x, float[4,2,2,2] w, float[N,16,P,Q] o, float[4] b, float[N,8,P,Q] m"
    node = "DeformConv<group=2,offset_group=2,pads=[0,0,1,0],kernel_shape=[2,2]>(x, w, o, b, m)"

    def operands(h: int, w: int) -> list[Any]:
        return [
            numbers(2, 4, h, w),
            numbers(4, 2, 2, 2),
            numbers(2, 16, h, w - 1),
            numbers(4),
            numbers(2, 8, h, w - 1),
        ]

    text = f"{HEADER} g({inputs}) => (float[A,B,C,D] y) {{ y = {node} }}"
    agree(text, *operands(5, 6))


@pytest.mark.parametrize("pads", ["[0,0,0,0]", "[1,0,0,0]", "[1,1,1,1]"])
def test_columns_to_images(agree: Any, pads: str) -> None:
    blocks = {"[0,0,0,0]": 12, "[1,0,0,0]": 16, "[1,1,1,1]": 30}[pads]
    given = "int64[2] image = {4, 5}, int64[2] block = {2, 2}"
    text = f"""{HEADER} g(float[N,12,L] x) => (float y) <{given}> {{
        y = Col2Im<pads={pads}>(x, image, block)
    }}"""
    agree(text, numbers(2, 12, blocks))


@pytest.mark.parametrize(
    "node",
    [
        'Conv<auto_pad="SAME_UPPER",strides=[2,2]>',
        "ConvTranspose<strides=[2,2],pads=[1,0,0,1]>",
        "ConvTranspose<strides=[2,2],output_shape=[8,8]>",
    ],
)
def test_gradients(node: str) -> None:
    text = (
        f"{HEADER} g(float[1,2,4,4] x, float[2,2,3,3] w, float[2] b) => (float y) {{ y = {node}(x, w, b) }}"
    )
    module = to_fx(ir.from_onnx_text(text)).double()
    inputs = [torch.from_numpy(numbers(*shape)).double() for shape in ((1, 2, 4, 4), (2, 2, 3, 3), (2,))]
    assert torch.autograd.gradcheck(module, [each.requires_grad_() for each in inputs], fast_mode=True)


def test_code_reads_as_one_would_write_it() -> None:
    given = f"float[4,3,3,3] weight = {{{','.join(['1'] * 108)}}}"
    text = f"""{HEADER} g(float[N,3,H,W] x) => (float y) <{given}> {{
        y = Conv<pads=[1,1,1,1],strides=[2,2],group=1>(x, weight)
    }}"""
    assert "conv2d(x, weight, stride = 2, padding = 1)" in to_fx(ir.from_onnx_text(text)).code
