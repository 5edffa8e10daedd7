"""Write rotary position embeddings as the standard's RotaryEmbedding, however they are spelled.

    x * cos + Concat(-x2, x1) * sin                        ->  RotaryEmbedding(x, cos, sin)
    Concat(x1 * cos - x2 * sin, x2 * cos + x1 * sin)       ->  RotaryEmbedding(x, cos, sin)

x1 and x2 are halves of the last dimension, or its even and odd places; cosines and sines of one half are
enough. Then heads are left unsplit, and columns that are not turned are taken in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import onnx_ir as ir

from graphopt.ir import (
    Changes,
    Reject,
    Rule,
    Tape,
    attribute_int,
    attribute_ints,
    op,
    rest,
    rewrite,
    rule,
    same_dim,
    var,
)
from graphopt.passes.chains._views import reshaped
from graphopt.passes.idioms._angles import Turn, angles
from graphopt.passes.idioms._heads import HEADS_LAST
from graphopt.passes.idioms._tape import size_of
from graphopt.passes.idioms._turns import read_full_turn, read_half_turn, sliced
from graphopt.pipeline import Pass
from graphopt.targets import Target

OPSET = 23
"""The standard has RotaryEmbedding from here on."""
DTYPES = (ir.DataType.FLOAT, ir.DataType.FLOAT16)
"""Types for which onnxruntime has the operator."""


@rule(op("Add", rest("terms"), name="node"), op("Sub", rest("terms"), name="node"))
def fuse_full_rotary(tape: Tape, node: ir.Node) -> ir.Value:
    """x * cos + rotate_half(x) * sin  ->  RotaryEmbedding(x, cos, sin)."""
    return _rotary(tape, read_full_turn(node))


@rule(op("Concat", rest("parts"), name="node"), op("Reshape", rest("parts"), name="node"))
def fuse_half_rotary(tape: Tape, node: ir.Node) -> ir.Value:
    """Concat(x1 * cos - x2 * sin, x2 * cos + x1 * sin)  ->  RotaryEmbedding(x, cos, sin)."""
    return _rotary(tape, read_half_turn(node))


@rule(op("Concat", op("RotaryEmbedding", rest("operands"), name="node"), var("kept"), name="concat"))
def take_in_kept_columns(tape: Tape, node: ir.Node, kept: ir.Value, concat: ir.Node) -> ir.Value:
    """Concat(RotaryEmbedding(x[..., :n]), x[..., n:])  ->  RotaryEmbedding(x; n)."""
    turned = node.inputs[0]
    whole = sliced(turned) if turned is not None else None
    rest_of = sliced(kept)
    if (
        whole is None
        or rest_of is None
        or whole[0] is not rest_of[0]
        or concat.inputs[0] is not node.outputs[0]
    ):
        raise Reject("")
    source, start, stop = whole
    assert source.shape is not None
    last = len(source.shape) - 1
    columns = source.shape.dims[last]
    if attribute_int(concat, "axis", 0) not in (-1, last) or start != 0 or rest_of[1:] != (stop, columns):
        raise Reject("")
    if any(name in node.attributes for name in ("num_heads", "rotary_embedding_dim")):
        raise Reject("")
    attributes = {**node.attributes, "rotary_embedding_dim": stop}
    return tape.op("RotaryEmbedding", [source, *node.inputs[1:]], attributes)


@rule(op("RotaryEmbedding", op("Transpose", var("x"), name="split"), rest("angles"), name="node"))
def turn_before_heads_move(tape: Tape, node: ir.Node, split: ir.Node, x: ir.Value) -> ir.Value:
    """RotaryEmbedding(Transpose(split(x)))  ->  Transpose(split(RotaryEmbedding(x; heads)))."""
    if attribute_ints(split, "perm") != HEADS_LAST or x.shape is None or "num_heads" in node.attributes:
        raise Reject("")
    batch, rows, heads, depth = x.shape.dims
    if not isinstance(heads, int) or not isinstance(depth, int):
        raise Reject("rotary: the number of heads, or their depth, is not known")
    wide = reshaped(tape, x, ir.Shape([batch, rows, heads * depth]))
    attributes = {**node.attributes, "num_heads": heads}
    turned = tape.op("RotaryEmbedding", [wide, *node.inputs[1:]], attributes)
    return tape.op("Transpose", [reshaped(tape, turned, x.shape)], {"perm": HEADS_LAST})


def _rotary(tape: Tape, turn: Turn) -> ir.Value:
    x = turn.value
    if x.dtype not in DTYPES:
        raise Reject(f"rotary: onnxruntime has no RotaryEmbedding for {x.dtype}")
    assert x.shape is not None
    if len(x.shape) != 4:
        raise Reject("rotary: the value turned has no axis of heads")
    tape.require_opset(OPSET)
    cosine, heads = angles(tape, turn, turn.cosine, 1.0)
    sine, same = angles(tape, turn, turn.sine, turn.sign)
    if heads != same:
        raise Reject("rotary: cosines and sines are laid out differently")
    attributes: dict[str, Any] = {"interleaved": 1} if turn.interleaved else {}
    batch, rows, depth = x.shape.dims[0], x.shape.dims[3 - heads], x.shape.dims[3]
    tape.finding, tape.form = ("rotary embedding", None), "RotaryEmbedding"
    caches = [_spread(tape, each, x, batch, rows, 3 - heads) for each in (cosine, sine)]
    if heads == 1:
        return tape.op("RotaryEmbedding", [x, *caches], attributes)
    size = x.shape.dims[heads]
    if not isinstance(size, int) or not isinstance(depth, int):
        raise Reject("rotary: the number of heads, or their depth, is not known")
    wide = reshaped(tape, x, ir.Shape([batch, rows, size * depth]))
    turned = tape.op("RotaryEmbedding", [wide, *caches], {**attributes, "num_heads": size})
    return reshaped(tape, turned, x.shape)


def _spread(
    tape: Tape, cache: ir.Value, x: ir.Value, batch: object, rows: object, rows_axis: int
) -> ir.Value:
    """A cache [batch, rows, half], over all batches: the operator does not broadcast it."""
    if cache.shape is None:
        raise Reject("rotary: the shape of cosines and sines is not known")
    if not same_dim(cache.shape.dims[1], rows):
        raise Reject("rotary: cosines and sines are not certainly of as many rows as the value turned")
    if same_dim(cache.shape.dims[0], batch):
        return cache
    if cache.shape.dims[0] != 1:
        raise Reject("rotary: cosines and sines are not certainly of the batch of the value turned")
    if isinstance(batch, int):
        return tape.op("Expand", [cache, tape.ints([batch, 1, 1], "shape")])
    size = size_of(tape, x, 0)
    return tape.op("Expand", [cache, tape.op("Concat", [size, tape.ints([1, 1])], {"axis": 0})])


@dataclass(frozen=True)
class FuseRotary(Pass):
    """Write rotary position embeddings as the standard's RotaryEmbedding, however they are spelled.

    Attributes:
        target: Says whether the operator is as fast as its spelling.
    """

    name: ClassVar[str] = "fuse-rotary"
    target: str = "portable"

    def apply(self, model: ir.Model, changes: Changes) -> None:
        """Fuse, then take in what stands around."""
        if Target.load(self.target).pays("RotaryEmbedding"):
            rewrite(model, RULES, changes)


RULES: tuple[Rule, ...] = (
    fuse_full_rotary,
    take_in_kept_columns,
    fuse_half_rotary,
    turn_before_heads_move,
)
