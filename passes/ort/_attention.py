"""Reads scaled dot product attention over heads that lie side by side, spelled out or as one operator.

It only looks; what is made of it is up to the passes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphopt.ir import (
    Reject,
    attribute_float,
    attribute_int,
    attribute_ints,
    constant,
    constant_tensor,
    rank,
    same_dim,
    scalar,
)
from graphopt.passes.ort._contrib import inverse

SIDE_BY_SIDE, TURNED = [0, 2, 1, 3], [0, 2, 3, 1]
"""How heads are split off: to [batch, heads, length, size], and with the last two axes exchanged."""

FLOOR = -1.1e38
"""Well above the lowest float, which onnxruntime's Attention takes for "never"."""
MOST_STEPS = 64
BOUNDED_BY_OPERANDS = frozenset(
    [
        "Add",
        "Concat",
        "Expand",
        "Identity",
        "Mul",
        "Reshape",
        "Slice",
        "Squeeze",
        "Sub",
        "Tile",
        "Transpose",
        "Unsqueeze",
        "Where",
    ]
)
"""Operators of masks that make no number much lower than those they get."""


@dataclass
class Attention:
    """Softmax(scale * query @ key^T + mask) @ value, head by head.

    Attributes:
        query: [batch, length, heads * size]; so are `key` and `value`.
        key: Its heads lie side by side as those of the query do.
        value: The size of its heads may be another one.
        heads: How many there are.
        scale: Of the scores.
        mask: Added to the scores; None if there is none.
        causal: No position looks at a later one.
        nodes: What is read, from the result on.
    """

    query: ir.Value
    key: ir.Value
    value: ir.Value
    heads: int
    scale: float
    mask: ir.Value | None = None
    causal: bool = False
    nodes: list[ir.Node] = field(default_factory=list)


@dataclass
class Projection:
    """A slice of the columns of `source @ weight + bias`.

    Attributes:
        source: What is projected.
        weight: [inputs, outputs].
        bias: [outputs], or None.
        dtype: Of all.
    """

    source: ir.Value
    weight: npt.NDArray[np.float32]
    bias: npt.NDArray[np.float32] | None

    def columns(self, begin: int, end: int) -> Projection:
        """Some of the outputs."""
        bias = None if self.bias is None else self.bias[begin:end]
        return Projection(self.source, self.weight[:, begin:end], bias)


def read_operator(node: ir.Node) -> Attention:
    """What an Attention of the standard computes, if its operands have three dimensions.

    Raises:
        Reject: It does something else as well.
    """
    query, key, value, mask, *cache = [*node.inputs, None, None, None][:6]
    heads = attribute_int(node, "q_num_heads", 0)
    if not heads or query is None or key is None or value is None or rank(query) != 3:
        raise Reject("the heads of the Attention are split off already")
    if attribute_int(node, "kv_num_heads", 0) != heads:
        raise Reject("several heads of the query share one of the key")
    used = [output for output in node.outputs[1:] if output.uses() or output.is_graph_output()]
    if any(cache) or used:
        raise Reject("the Attention keeps keys and values for later")
    if attribute_float(node, "softcap", 0.0):
        raise Reject("the scores of the Attention are capped")
    if attribute_int(node, "softmax_precision", ir.DataType.FLOAT) != ir.DataType.FLOAT:
        raise Reject("the softmax of the Attention is in another type")
    if mask is not None and not _is_bounded(mask, MOST_STEPS):
        raise Reject("a row may be masked wholly: the Attention gives zeros then, this one other numbers")
    width = query.shape.dims[-1] if query.shape is not None else None
    if not isinstance(width, int):
        raise Reject("the width of the query is not known")
    scale = attribute_float(node, "scale", (width / heads) ** -0.5)
    causal = bool(attribute_int(node, "is_causal", 0))
    return Attention(query, key, value, heads, scale, mask, causal, [node])


def _is_bounded(mask: ir.Value | None, steps: int) -> bool:
    """Whether no element is lower than `FLOOR`, for all that can be seen from its constants."""
    tensor = constant_tensor(mask)
    if mask is None or tensor is not None:
        if tensor is None or tensor.dtype == ir.DataType.BOOL:
            return False
        return bool((tensor.numpy().astype(np.float64) >= FLOOR).all())  # the floor is none of float16's
    node = mask.producer()
    if node is None or node.domain or not steps:
        return False
    if node.op_type == "Cast" and node.inputs[0] is not None and node.inputs[0].dtype is not None:
        return not node.inputs[0].dtype.is_floating_point() or _is_bounded(node.inputs[0], steps - 1)
    if node.op_type == "Max":
        return any(_is_bounded(value, steps // 2) for value in node.inputs)
    if node.op_type not in BOUNDED_BY_OPERANDS:
        return False
    first = 1 if node.op_type == "Where" else 0
    data = (
        node.inputs[first:] if node.op_type in ("Add", "Concat", "Mul", "Sub", "Where") else node.inputs[:1]
    )
    return all(_is_bounded(value, steps // 2) for value in data)


def read_spelled(result: ir.Node) -> Attention:
    """What the nodes in front of `result`, a Reshape that joins heads, compute.

    Raises:
        Reject: It is no attention; without a text where it has nothing of one.
    """
    turned = _producer(result.inputs[0], "Transpose")
    if turned is None or attribute_ints(turned, "perm") != SIDE_BY_SIDE:
        raise Reject("")
    context = _producer(turned.inputs[0], "MatMul")
    if context is None:
        raise Reject("")
    weights = _producer(context.inputs[0], "Softmax", "Where")
    if weights is None:
        raise Reject("")
    nodes = [result, turned, context]
    softmax = _without_guard(weights, nodes)
    if attribute_int(softmax, "axis", -1) not in (-1, 3):
        raise Reject("the Softmax of the attention is not along the last axis")
    scale, mask, product = _scores(softmax.inputs[0], nodes)
    if weights is not softmax:
        _require_finite(mask)
    query, heads, factor = _heads(product.inputs[0], SIDE_BY_SIDE, nodes)
    scale *= factor
    key, key_heads, factor = _heads(product.inputs[1], TURNED, nodes)
    scale *= factor
    value, value_heads, factor = _heads(context.inputs[1], SIDE_BY_SIDE, nodes)
    if factor != 1.0:
        raise Reject("the values of the attention are scaled")
    if not heads == key_heads == value_heads:
        raise Reject("query, key and value of the attention have different numbers of heads")
    if not _joins_heads(result):
        raise Reject("the heads of the attention are not joined side by side")
    return Attention(query, key, value, heads, scale, mask, nodes=nodes)


def read_projection(value: ir.Value) -> Projection:
    """The constant matrix and bias that make a value of another.

    Raises:
        Reject: There are none, or the value has other uses, for which it would have to be made again.
    """
    node = value.producer()
    _require_only_use(value)
    if node is not None and node.op_type == "Split" and not node.domain:
        return _slice_of_split(node, value)
    if node is not None and node.op_type == "Reshape" and not node.domain:
        return _behind_views(node)
    bias = None
    if node is not None and node.op_type == "Add" and not node.domain:
        at = 0 if constant_tensor(node.inputs[0]) is not None else 1
        bias, product = constant(node.inputs[at]), node.inputs[1 - at]
        if bias is None or product is None:
            raise Reject("what is added to an operand of the attention is no bias")
        _require_only_use(product)
        node = product.producer()
    if node is None or node.op_type != "MatMul" or node.domain:
        raise Reject("an operand of the attention is no product with a constant")
    source, weight = node.inputs[0], constant(node.inputs[1])
    if source is None or weight is None or weight.ndim != 2 or rank(source) != 3:
        raise Reject("an operand of the attention is no product with a constant matrix")
    if weight.dtype != np.float32:
        raise Reject("the attention is not in float32")
    if bias is not None:
        if bias.size != weight.shape[1] or bias.shape[-1:] != weight.shape[1:] or bias.ndim > 3:
            raise Reject("what is added to an operand of the attention is no bias")
        bias = bias.reshape(-1)
    return Projection(source, weight, bias)


def _require_only_use(value: ir.Value) -> None:
    if len(value.uses()) != 1 or value.is_graph_output():
        raise Reject("an operand of the attention is used elsewhere too")


def _slice_of_split(node: ir.Node, value: ir.Value) -> Projection:
    whole = node.inputs[0]
    if whole is None or attribute_int(node, "axis", 0) not in (-1, 2) or rank(whole) != 3:
        raise Reject("an operand of the attention is split off along another axis than the last")
    begin = 0
    for output in node.outputs:
        width = None if output.shape is None else output.shape.dims[-1]
        if not isinstance(width, int):
            raise Reject("the width of an operand of the attention is not known")
        if output is value:
            return read_projection(whole).columns(begin, begin + width)
        begin += width
    raise AssertionError("a value is an output of its producer")


def _behind_views(result: ir.Node) -> Projection:
    """The projection that a Gemm of rows makes, between two Reshapes.

    Raises:
        Reject: The Reshapes do more than make rows of [batch, length].
    """
    gemm = result.inputs[0].producer() if result.inputs[0] is not None else None
    flat = gemm.inputs[0].producer() if gemm is not None and gemm.inputs[0] is not None else None
    source = flat.inputs[0] if flat is not None and flat.op_type == "Reshape" else None
    whole = result.outputs[0].shape
    if gemm is None or gemm.op_type != "Gemm" or source is None or source.shape is None or whole is None:
        raise Reject("an operand of the attention is no product with a constant")
    weight, bias = constant(gemm.inputs[1]), constant(gemm.inputs[2]) if len(gemm.inputs) > 2 else None
    factors = [attribute_float(gemm, name, 1.0) for name in ("alpha", "beta")]
    if weight is None or attribute_int(gemm, "transA", 0) or factors != [1.0, 1.0]:
        raise Reject("an operand of the attention is no product with a constant matrix")
    weight = weight.T if attribute_int(gemm, "transB", 0) else weight
    if len(gemm.inputs) > 2 and (bias is None or bias.shape != weight.shape[1:]):
        raise Reject("what is added to an operand of the attention is no bias")
    if len(whole) != 3 or len(source.shape) != 3 or weight.dtype != np.float32:
        raise Reject("an operand of the attention does not have three axes, or is not in float32")
    if not all(same_dim(whole.dims[axis], source.shape.dims[axis]) for axis in (0, 1)):
        raise Reject("batch and length of an operand of the attention are mixed")
    return Projection(source, weight, bias)


def _producer(value: ir.Value | None, *types: str) -> ir.Node | None:
    """The node of one of these types that makes a value used once."""
    node = None if value is None else value.producer()
    if node is None or node.domain or node.op_type not in types:
        return None
    assert value is not None
    return node if len(value.uses()) == 1 and not value.is_graph_output() else None


def _without_guard(node: ir.Node, nodes: list[ir.Node]) -> ir.Node:
    """The Softmax in `Where(IsNaN(Softmax), 0, Softmax)`, or a Softmax itself.

    Raises:
        Reject: It is neither.
    """
    if node.op_type == "Softmax":
        nodes.append(node)
        return node
    guarded = node.inputs[2]
    condition, softmax = (None if value is None else value.producer() for value in (node.inputs[0], guarded))
    if (
        condition is None
        or softmax is None
        or guarded is None
        or condition.op_type != "IsNaN"
        or softmax.op_type != "Softmax"
        or condition.inputs[0] is not guarded
        or scalar(node.inputs[1]) != 0
        or len(guarded.uses()) != 2
    ):
        raise Reject("")
    nodes += [node, condition, softmax]
    return softmax


def _require_finite(mask: ir.Value | None) -> None:
    """Refuse a mask that may leave no position at all: only then a Softmax is NaN for finite scores.

    Raises:
        Reject: The mask may hold infinity.
    """
    node = None if mask is None else mask.producer()
    choices = [mask] if node is None or node.op_type != "Where" else list(node.inputs[1:])
    for choice in choices:
        elements = constant(choice)
        if choice is not None and (elements is None or not np.isfinite(elements).all()):
            raise Reject("rows of the attention without any position are set to 0")


def _scores(value: ir.Value | None, nodes: list[ir.Node]) -> tuple[float, ir.Value | None, ir.Node]:
    """Scale, mask and product of `scale * query @ key^T + mask`.

    Raises:
        Reject: The scores are something else.
    """
    mask: ir.Value | None = None
    scale = 1.0
    while (node := _producer(value, "Add", "Mul", "Div")) is not None:
        nodes.append(node)
        if node.op_type != "Add":
            value, factor = _factor(node)
            scale *= factor
            continue
        if mask is not None or scale != 1.0:
            raise Reject("the scores of the attention get more than one mask, or scale it")
        at = 0 if _holds_product(node.inputs[0]) else 1
        value, mask = node.inputs[at], node.inputs[1 - at]
    product = _producer(value, "MatMul")
    if product is None:
        raise Reject("the scores in front of the Softmax are no product")
    nodes.append(product)
    return scale, mask, product


def _holds_product(value: ir.Value | None, steps: int = MOST_STEPS) -> bool:
    """Whether a product comes to this value by few sums and factors."""
    node = _producer(value, "MatMul", "Add", "Mul", "Div")
    if node is None or not steps:
        return False
    return node.op_type == "MatMul" or any(_holds_product(each, steps // 2) for each in node.inputs)


def _factor(node: ir.Node) -> tuple[ir.Value | None, float]:
    """The other operand of a Mul or Div by one constant number, and the factor.

    Raises:
        Reject: The constant has several elements, or there is none.
    """
    for at, value in enumerate(node.inputs):
        number = scalar(value)
        if number is not None and (at == 1 or node.op_type == "Mul"):
            return node.inputs[1 - at], float(number) if node.op_type == "Mul" else inverse(number)
    raise Reject("an operand of the attention is scaled by more than one number")


def _heads(value: ir.Value | None, perm: Sequence[int], nodes: list[ir.Node]) -> tuple[ir.Value, int, float]:
    """What heads are split from, how many there are, and a factor on the way.

    Raises:
        Reject: They are not split by Reshape and Transpose alone.
    """
    scale = 1.0
    turned = split = None
    while (node := _producer(value, "Mul", "Div", "Transpose", "Reshape")) is not None:
        if split is not None and node.op_type in ("Transpose", "Reshape"):
            break
        nodes.append(node)
        if node.op_type in ("Mul", "Div"):
            value, factor = _factor(node)
            scale *= factor
            continue
        if node.op_type == "Transpose":
            if turned is not None or attribute_ints(node, "perm") != list(perm):
                raise Reject("the heads of the attention are split off in another order")
            turned = node
        else:
            split = node
        value = node.inputs[0]
    if turned is None or split is None or value is None:
        raise Reject("the heads of the attention are not split by Reshape and Transpose")
    shape, whole = split.outputs[0].shape, value.shape
    if shape is None or whole is None or len(shape) != 4 or len(whole) != 3:
        raise Reject("the heads of the attention are not split from the last of three axes")
    heads, size = shape.dims[2], shape.dims[3]
    if not (isinstance(heads, int) and isinstance(size, int) and whole.dims[2] == heads * size):
        raise Reject("the number of heads of the attention is not known")
    if not all(same_dim(shape.dims[axis], whole.dims[axis]) for axis in (0, 1)):
        raise Reject("the heads of the attention are split together with another axis")
    return value, heads, scale


def _joins_heads(result: ir.Node) -> bool:
    split = result.inputs[0].shape if result.inputs[0] is not None else None
    joined = result.outputs[0].shape
    if split is None or joined is None or len(split) != 4 or len(joined) != 3:
        return False
    width = split.dims[2] * split.dims[3]
    same = all(same_dim(split.dims[axis], joined.dims[axis]) for axis in (0, 1))
    return same and same_dim(width, joined.dims[2])


def inputs_of(attention: Attention) -> Iterator[ir.Value]:
    """Query, key and value."""
    yield from (attention.query, attention.key, attention.value)
