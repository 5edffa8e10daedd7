"""Write scaled dot product attention as the standard's Attention, however it is spelled.

    MatMul(Softmax(Add(Mul(MatMul(q, Transpose(k)), s), mask)), v)   ->  Attention(q, k, v, mask; scale)

Then it takes in what stands around it: heads that are repeated for their groups, keys and values of earlier
tokens in front of the new ones, and the Reshape and Transpose that split and merge heads, with which it is
faster than without. A row with no column left to see is zero, where a softmax of infinities has no number.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar

import onnx_ir as ir

from graphopt.ir import (
    Changes,
    Reject,
    Tape,
    attribute_int,
    attribute_ints,
    op,
    rest,
    rewrite,
    rule,
    same_dim,
    same_shape,
)
from graphopt.passes.chains._views import reshaped
from graphopt.passes.idioms._heads import HEADS_LAST, ROWS_FIRST, merged_rows, repeated_heads
from graphopt.passes.idioms._masks import FLOORS, Masks, is_causal
from graphopt.passes.idioms._products import Operand, read_weighting
from graphopt.passes.idioms._scores import (
    HEADED,
    Bias,
    Mask,
    Scores,
    products_behind,
    read_scores,
    softmax_behind,
)
from graphopt.passes.idioms._tape import rows_of
from graphopt.pipeline import Pass
from graphopt.targets import Target

OPSET = 23
"""The standard has Attention from here on."""
CACHE_AXIS = 2
"""Where keys of earlier tokens stand in front of new ones: [batch, heads, tokens, depth]."""
CACHE_INPUT = 4
"""The first input of an Attention that belongs to its cache."""


@rule(op(("MatMul", "Einsum"), rest("factors"), name="node"))
def fuse_attention(tape: Tape, node: ir.Node) -> ir.Value:
    """softmax(s * q k^T + mask) v  ->  Attention(q, k, v, mask)."""
    weighting = read_weighting(node)
    if weighting is None:
        raise Reject("")
    weights, values, order = weighting
    found = softmax_behind(weights, tape.opset)
    if found is None:
        raise Reject("")
    tape.consumed = products_behind(weights)
    scores = read_scores(*found)
    result = _attention(tape, scores, values)
    if order != tuple(range(len(order))):
        result = tape.op("Transpose", [result], {"perm": list(order)})
    return result


@rule(op("Attention", rest("operands"), name="node"))
def share_repeated_heads(tape: Tape, node: ir.Node) -> ir.Value:
    """Attention(q, repeat(k), repeat(v))  ->  Attention(q, k, v): heads of keys serve a group of queries."""
    keys, values = _without_past(node)
    shared = [repeated_heads(each) for each in (keys, values)]
    if shared[0] is None or shared[1] is None or shared[0][1] != shared[1][1]:
        raise Reject("")
    return tape.op(
        "Attention", [node.inputs[0], shared[0][0], shared[1][0], *node.inputs[3:]], node.attributes
    )


@rule(op("Attention", rest("operands"), name="node"))
def take_in_cache(tape: Tape, node: ir.Node) -> ir.Value:
    """Attention(q, Concat(past, k), Concat(past, v))  ->  Attention(q, k, v, past, past) of three results."""
    if attribute_int(node, "is_causal", 0) or len(node.inputs) > CACHE_INPUT:
        raise Reject("")
    if node.inputs[1] is node.inputs[2]:
        raise Reject("attention: keys and values are one cache")
    pasts, news, joined = [], [], []
    for value in _without_past(node):
        concat = value.producer()
        if concat is None or concat.op_type != "Concat" or len(concat.inputs) != 2 or None in concat.inputs:
            raise Reject("")
        if attribute_int(concat, "axis", 0) not in (CACHE_AXIS, CACHE_AXIS - HEADED):
            raise Reject("")
        if any(use.node is not node for use in value.uses()):
            raise Reject(
                "attention: keys or values joined with those of earlier tokens are used elsewhere too"
            )
        past, new = concat.inputs
        pasts.append(past)
        news.append(new)
        joined.append(value)
    mask = node.inputs[3] if len(node.inputs) > 3 else None
    outputs = tape.ops("Attention", [node.inputs[0], *news, mask, *pasts], node.attributes, outputs=3)
    for old, new in zip(joined, outputs[1:], strict=True):
        tape.replace(old, new)
    return outputs[0]


@rule(op("Transpose", op("Attention", rest("operands"), name="node", shared=True), name="merge"))
def take_in_heads(tape: Tape, node: ir.Node, merge: ir.Node) -> ir.Value:
    """Transpose(Attention(split(q), split(k), split(v)))  ->  Reshape(Attention(q, k, v; heads))."""
    perm = attribute_ints(merge, "perm")
    if perm not in (HEADS_LAST, ROWS_FIRST) or "q_num_heads" in node.attributes:
        raise Reject("")
    result = node.outputs[0]
    if len(result.uses()) > 1 or result.is_graph_output():
        raise Reject("attention: its heads are used before they are merged")
    rows = merged_rows(tape, node.inputs[:3])
    heads = [None if each is None or each.shape is None else each.shape.dims[1] for each in node.inputs[:3]]
    if not all(isinstance(each, int) for each in heads):
        raise Reject("attention: the number of heads is not known")
    attributes = {**node.attributes, "q_num_heads": heads[0], "kv_num_heads": heads[1]}
    outputs = tape.ops("Attention", [*rows, *node.inputs[3:]], attributes, outputs=len(node.outputs))
    for old, new in zip(node.outputs[1:], outputs[1:], strict=True):
        tape.replace(old, new)
    merged = outputs[0]
    if perm == ROWS_FIRST:
        merged = tape.op("Transpose", [merged], {"perm": [1, 0, 2]})
    return reshaped(tape, merged, merge.outputs[0].shape)


def _attention(tape: Tape, scores: Scores, values: Operand) -> ir.Value:
    """The node itself; its result has the dimensions of the second product."""
    dtype = values.value.dtype
    operands = [scores.queries, scores.keys, values]
    if dtype not in FLOORS:
        raise Reject(f"attention: onnxruntime has no Attention for {dtype}")
    if any(each.value.dtype not in (dtype, ir.DataType.FLOAT16) for each in operands):
        raise Reject("attention: queries, keys and values are not of one type")
    apart = not all(scores.merged) and all(each.rank == HEADED - 1 for each in operands)
    if apart:
        _require_one_batch(operands, headed=False)
        operands = [dataclasses.replace(each, lead=scores.lead) for each in operands]
    headed = all(each.rank == HEADED for each in operands)
    if not headed and any(each.rank != HEADED - 1 for each in operands):
        raise Reject("attention: queries, keys and values have different numbers of dimensions")
    _require_one_batch(operands, headed)
    _require_one_length(scores.keys, values)
    tape.finding, tape.form = ("attention", None), "Attention"
    tape.require_opset(OPSET)
    queries, keys, depths = (_placed(tape, each, dtype) for each in operands)
    masks = _split_masks(tape, scores) if headed else scores.masks
    mask = Masks(tape, queries, keys, guarded=scores.guarded).laid(masks)
    attributes: dict[str, Any] = {"scale": scores.scale}
    if scores.softcap:
        attributes["softcap"] = scores.softcap
    if scores.value.dtype is not None and scores.value.dtype != dtype:
        attributes["softmax_precision"] = int(scores.value.dtype)
    if not headed:
        attributes |= {"q_num_heads": 1, "kv_num_heads": 1}
        mask = _with_head(tape, mask)
    inputs = [queries, keys, depths]
    if mask is not None and is_causal(mask):
        attributes["is_causal"] = 1
    elif mask is not None:
        inputs.append(mask)
    result = tape.op("Attention", inputs, attributes)
    return _merged(tape, result, queries, values) if apart else result


def _split_masks(tape: Tape, scores: Scores) -> list[Mask]:
    """The masks, those over scores whose heads are merged with their batch as over heads apart.

    Raises:
        Reject: The shape of one is not known.
    """
    masks: list[Mask] = []
    for mask, merged in zip(scores.masks, scores.merged, strict=True):
        value = mask.value if isinstance(mask, Bias) else mask.condition
        if merged and value.shape is None:
            raise Reject("attention: the shape of the mask is not known, or of too many dimensions")
        if merged and len(dims := value.shape.dims) == HEADED - 1 and dims[0] != 1:  # type: ignore[union-attr]
            assert scores.lead is not None
            value = _viewed(tape, value, [*scores.lead, *dims[1:]])
        if isinstance(mask, Bias):
            masks.append(dataclasses.replace(mask, value=value))
        else:
            masks.append(dataclasses.replace(mask, condition=value))
    return masks


def _merged(tape: Tape, result: ir.Value, queries: ir.Value, values: Operand) -> ir.Value:
    """Rows of heads apart [batch, heads, rows, depth] with their heads merged with the batch."""
    rows, depth = None if queries.shape is None else queries.shape.dims[-2], values.dim(-1)
    if not isinstance(depth, int):
        raise Reject("attention: the depth of the values is not known")
    if isinstance(rows, int):
        return tape.op("Reshape", [result, tape.ints([-1, rows, depth], "shape")])
    pieces = [tape.ints([-1], "batch"), rows_of(tape, queries), tape.ints([depth], "depth")]
    return tape.op("Reshape", [result, tape.op("Concat", pieces, {"axis": 0})])


def _placed(tape: Tape, operand: Operand, dtype: ir.DataType) -> ir.Value:
    value = operand.value
    if value.dtype != dtype:
        value = tape.op("Cast", [value], {"to": int(dtype)})
    if operand.perm != tuple(range(len(operand.perm))):
        value = tape.op("Transpose", [value], {"perm": list(operand.perm)})
    if operand.lead is not None:
        value = _viewed(tape, value, [*operand.lead, operand.dim(-2), operand.dim(-1)])
    return value


def _viewed(tape: Tape, value: ir.Value, dims: list[object]) -> ir.Value:
    """The value with other dimensions; what it was a view of, if that has them."""
    shape = ir.Shape(dims)  # type: ignore[arg-type]
    node = value.producer()
    inner = node.inputs[0] if node is not None and node.op_type == "Reshape" and not node.domain else None
    return inner if inner is not None and same_shape(inner.shape, shape) else reshaped(tape, value, shape)


def _require_one_batch(operands: list[Operand], headed: bool) -> None:
    """Attention broadcasts neither batch nor, but for groups, heads, as the products may.

    Raises:
        Reject: They are not certainly alike.
    """
    queries, *others = operands
    for each in others:
        if not same_dim(queries.dim(-queries.rank), each.dim(-each.rank)):
            raise Reject("attention: queries, keys and values are not certainly of one batch size")
    if not headed:
        return
    heads = [each.dim(-3) for each in operands]
    if heads[1] == 1 and heads[2] == 1 and isinstance(heads[0], int):
        return
    if not all(isinstance(each, int) and each == heads[0] for each in heads):
        raise Reject("attention: queries, keys and values are not certainly of as many heads")


def _require_one_length(keys: Operand, values: Operand) -> None:
    """One key that is compared, and several values, happens where a mask has more columns than the scores.

    Raises:
        Reject: There may be one key.
    """
    if keys.dim(-2) == 1 and values.dim(-2) != 1:
        raise Reject("attention: one key serves several values")


def _with_head(tape: Tape, mask: ir.Value | None) -> ir.Value | None:
    """A mask of batches without heads, with one head."""
    if mask is None or mask.shape is None or len(mask.shape) < HEADED - 1:
        return mask
    if len(mask.shape) == HEADED:
        raise Reject("attention: the mask has heads that the scores have merged with their batch")
    return tape.op("Unsqueeze", [mask, tape.ints([1], "axes")])


def _without_past(node: ir.Node) -> tuple[ir.Value, ir.Value]:
    """Keys and values of an Attention with heads split and no cache."""
    keys, values = node.inputs[1], node.inputs[2]
    if "q_num_heads" in node.attributes or any(each is not None for each in node.inputs[CACHE_INPUT:]):
        raise Reject("")
    if keys is None or values is None or len(node.outputs) != 1:
        raise Reject("")
    return keys, values


@dataclass(frozen=True)
class FuseAttention(Pass):
    """Write scaled dot product attention as the standard's Attention, however it is spelled.

    Attributes:
        target: Says whether the operator is as fast as its spelling.
    """

    name: ClassVar[str] = "fuse-attention"
    target: str = "portable"

    def apply(self, model: ir.Model, changes: Changes) -> None:
        """Fuse, then take in what stands around."""
        target = Target.load(self.target)
        forms = (
            ("Attention", (fuse_attention, share_repeated_heads)),
            ("Attention.cached", (take_in_cache,)),
            ("Attention.3D", (take_in_heads,)),
        )
        if target.pays("Attention"):
            rules = [rule for form, rules in forms if target.pays(form) for rule in rules]
            rewrite(model, rules, changes)
