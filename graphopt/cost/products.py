"""Cost rules of matrix products, convolutions, recurrent cells and attention.

One multiply-accumulate (MAC) is two FLOPs. Padding counts like data, and a causal mask is not discounted, as
in the published figures of networks.
"""

from __future__ import annotations

import math

import onnx_ir as ir

from graphopt.cost.arithmetic import LAYER_NORM, SIGMOID, SIMPLE, SOFTMAX, TRANSCENDENTAL
from graphopt.cost.call import Call, Kind, Rule, Shape, UnknownShapeError, Work

CHANNELS_AT_ONCE = 16
"""Kernels of convolutions take so many; groups of others are computed one after the other, and slowly."""


def _product(call: Call, macs: int, *, extra: int = 0, operand: int = 0) -> Work:
    kind = Kind.INT8 if _is_int8(call, operand) else Kind.GEMM
    return Work(kind, 2 * macs + extra, macs)


def _is_int8(call: Call, operand: int) -> bool:
    return call.dtype(operand) in (ir.DataType.INT8, ir.DataType.UINT8)


def matmul(second: int = 1) -> Rule:
    """numpy.matmul of the first operand and operand `second`."""

    def rule(call: Call) -> Work:
        a, b = call.shape(0), call.shape(second)
        if not a or not b:
            raise UnknownShapeError("operands of rank 0")
        batch = math.prod(_broadcast(a[:-2], b[:-2]))
        rows = a[-2] if len(a) > 1 else 1
        columns = b[-1] if len(b) > 1 else 1
        return _product(call, batch * rows * a[-1] * columns)

    return rule


def _broadcast(a: Shape, b: Shape) -> Shape:
    width = max(len(a), len(b))
    a, b = (1,) * (width - len(a)) + a, (1,) * (width - len(b)) + b
    return tuple(y if x == 1 else x for x, y in zip(a, b, strict=True))


def fused_matmul(call: Call) -> Work:
    """com.microsoft FusedMatMul: the inner dimension stands where transA and transBatchA put it."""
    a = call.shape(0)
    axis = -1
    if call.integer("transA", 0):
        axis = 0 if call.integer("transBatchA", 0) else -2
    return _product(call, call.out_size() * a[axis])


def gemm(bias: int = 2) -> Rule:
    """A' @ B' + C, with the bias at input `bias`."""

    def rule(call: Call) -> Work:
        a = call.shape(0)
        inner = a[0] if call.integer("transA", 0) else a[-1]
        size = call.out_size()
        return _product(call, size * inner, extra=SIMPLE * size if call.has(bias) else 0)

    return rule


def matmul_nbits(call: Call) -> Work:
    """com.microsoft MatMulNBits and MatMulBnb4: A (..., K) times a packed K by N matrix."""
    inner, columns = call.integer("K", 0), call.integer("N", 0)
    return _product(call, math.prod(call.shape(0)[:-1]) * inner * columns)


def einsum(call: Call) -> Work:
    """The product of all label sizes, once for each operand after the first.

    Exact for two operands; for more it is the bound that holds without choosing an order of contraction.
    """
    terms = call.string("equation", "").replace(" ", "").split("->")[0].split(",")
    sizes: dict[str, int] = {}
    for index, term in enumerate(terms):
        shape = call.shape(index)
        head, _, tail = term.partition("...")
        middle = len(shape) - len(head) - len(tail)
        ellipsis = [f".{axis}" for axis in range(middle, 0, -1)]
        for label, dim in zip([*head, *ellipsis, *tail], shape, strict=True):
            sizes[label] = max(sizes.get(label, 1), dim)
    points = math.prod(sizes.values())
    steps = len(terms) - 1
    if points == call.out_size():
        return Work(Kind.ELEMENTWISE, SIMPLE * points * steps)
    if steps == 0:
        return Work(Kind.ELEMENTWISE, SIMPLE * points)
    return _product(call, points * steps)


def conv(weight: int = 1, bias: int | None = 2, *, activation: int = 0) -> Rule:
    """One MAC for each output element, input channel of its group and kernel position.

    Weights are (M, C / group, *kernel) in every layout of the activations; dilation moves taps and adds none.
    `activation` FLOPs are paid for each output element.
    """

    def rule(call: Call) -> Work:
        taps, size = call.shape(weight)[1:], call.out_size()
        macs = size * math.prod(taps)
        if _is_int8(call, 0):
            kind = Kind.INT8
        else:
            kind = _convolution_kind(call.shape(weight)[0], taps[0], call.integer("group", 1))
        biased = bias is not None and call.has(bias)
        return Work(kind, 2 * macs + (SIMPLE * biased + activation) * size, macs)

    return rule


def _convolution_kind(outputs: int, of_group: int, groups: int) -> Kind:
    if groups == 1:
        return Kind.CONV
    if of_group == 1:
        return Kind.DEPTHWISE
    whole = of_group % CHANNELS_AT_ONCE == 0 and outputs // groups % CHANNELS_AT_ONCE == 0
    return Kind.CONV if whole else Kind.GROUPED


def conv_transpose(call: Call) -> Work:
    """Each input element times every kernel position of every output channel of its group."""
    macs = call.size(0) * math.prod(call.shape(1)[1:])  # weights (C, M / group, *kernel)
    return Work(Kind.CONV, 2 * macs + (SIMPLE * call.out_size() if call.has(2) else 0), macs)


def deform_conv(call: Call) -> Work:
    """A convolution over bilinear samples: four taps of two FLOPs a sample, and one for the mask."""
    weight = call.shape(1)
    macs = call.out_size() * math.prod(weight[1:])
    samples = math.prod(call.shape(0)[:2]) * math.prod(weight[2:]) * math.prod(call.out()[2:])
    return Work(Kind.CONV, 2 * macs + (8 + call.has(4)) * SIMPLE * samples, macs)


def causal_conv(call: Call) -> Work:
    """CausalConvWithState: depthwise over time, weights (C, 1, k)."""
    macs = call.out_size() * call.shape(1)[-1]
    activation = SIGMOID + SIMPLE if call.string("activation", "none") != "none" else 0
    return Work(Kind.DEPTHWISE, 2 * macs + (call.has(2) + activation) * call.out_size(), macs)


GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
CELL = {
    "RNN": TRANSCENDENTAL,
    "GRU": 2 * SIGMOID + TRANSCENDENTAL + 5 * SIMPLE,
    "LSTM": 3 * SIGMOID + 2 * TRANSCENDENTAL + 4 * SIMPLE,
}
"""FLOPs for each hidden unit and step beside the matrix products, with the default activations."""


def recurrent(cell: str) -> Rule:
    """Input and recurrence products of every gate, step, direction and batch entry.

    X is (steps, batch, input) or (batch, steps, input); the recurrence weights are read again at every step.
    """

    def rule(call: Call) -> Work:
        x = call.shape(0)
        directions = 2 if call.string("direction", "forward") == "bidirectional" else 1
        hidden = call.integer("hidden_size", 0) or call.shape(2)[-1]
        units = x[0] * x[1] * directions * hidden
        macs = units * GATES[cell] * (x[2] + hidden)
        biases = 2 * SIMPLE * units * GATES[cell] if call.has(3) else 0
        steps = x[1] if call.integer("layout", 0) else x[0]
        others = sum(call.in_bytes(index) for index in range(len(call.inputs)) if index != 2)
        return Work(
            Kind.GEMM,
            2 * macs + biases + units * CELL[cell],
            macs,
            bytes_read=others + call.in_bytes(2) * max(1, steps),
            working_set=call.in_bytes(2),
        )

    return rule


def _scaled_dot_product(
    batch: int, heads: int, queries: int, keys: int, key_size: int, value_size: int, projection: int = 0
) -> Work:
    """Two products around a scaled, masked softmax over all keys."""
    scores = batch * heads * queries * keys
    macs = scores * (key_size + value_size) + projection
    return Work(Kind.GEMM, 2 * macs + scores * (SOFTMAX + 2 * SIMPLE), macs)


def attention(call: Call) -> Work:
    """Attention of the standard: Q, K, V (batch, heads, length, size), or rank 3 with packed heads."""
    q, k, v = call.shape(0), call.shape(1), call.shape(2)
    past = call.shape(4)[2] if call.has(4) else 0
    if len(q) == 4:
        return _scaled_dot_product(q[0], q[1], q[2], k[2] + past, q[3], v[3])
    heads, groups = call.integer("q_num_heads", 1), call.integer("kv_num_heads", 1)
    return _scaled_dot_product(q[0], heads, q[1], k[1] + past, q[2] // heads, v[2] // groups)


def attention_with_projection(past: int) -> Rule:
    """com.microsoft Attention: X (batch, length, width) times weights (width, q + k + v), then attention."""

    def rule(call: Call) -> Work:
        x, columns = call.shape(0), call.shape(1)[1]
        heads = call.integer("num_heads", 1)
        query, _, value = call.integers("qkv_hidden_sizes") or (columns // 3,) * 3
        keys = x[1] + (call.shape(past)[-2] if call.has(past) else 0)
        projection = math.prod(x) * columns
        return _scaled_dot_product(x[0], heads, x[1], keys, query // heads, value // heads, projection)

    return rule


def multi_head_attention(call: Call) -> Work:
    """com.microsoft MultiHeadAttention: query (batch, length, width), or all three packed in rank 5."""
    q, heads = call.shape(0), call.integer("num_heads", 1)
    if len(q) == 5:  # (batch, length, heads, 3, size)
        return _scaled_dot_product(q[0], q[2], q[1], q[1], q[4], q[4])
    size = q[2] // heads
    k = call.shape(
        1
    )  # (batch, length, width), (batch, length, heads, 2, size) or (batch, heads, length, size)
    keys = k[2] if len(k) == 4 else k[1]
    value = size
    if call.has(2):
        v = call.shape(2)
        value = v[3] if len(v) == 4 else v[2] // heads
    past = call.shape(6)[2] if call.has(6) else 0
    return _scaled_dot_product(q[0], heads, q[1], keys + past, size, value)


def group_query_attention(call: Call) -> Work:
    """com.microsoft GroupQueryAttention; without key and value, the query holds all three.

    The past is a buffer, taken as full where it is longer than the new keys.
    """
    q, heads = call.shape(0), call.integer("num_heads", 1)
    groups = call.integer("kv_num_heads", heads)
    size = q[2] // (heads if call.has(1) else heads + 2 * groups)
    past = call.shape(3)[2] if call.has(3) else 0
    return _scaled_dot_product(q[0], heads, q[1], max(q[1], past), size, size)


def linear_attention(call: Call) -> Work:
    """LinearAttention: an update of the state for each token and KV head, a read for each query head.

    The delta rules read the state once more to find what to update.
    """
    q, v = call.shape(0), call.shape(2)
    heads, groups = call.integer("q_num_heads", 1), call.integer("kv_num_heads", 1)
    state = q[0] * q[1] * (q[2] // heads) * (v[2] // groups)
    updates = 2 if "delta" in call.string("update_rule", "gated_delta") else 1
    macs = state * (heads + updates * groups)
    return Work(Kind.GEMM, 2 * macs + (SIMPLE * state * groups if call.has(4) else 0), macs)


def embed_layer_norm(call: Call) -> Work:
    """com.microsoft EmbedLayerNormalization: two or three rows gathered, added and normalized."""
    rows = 3 if call.has(4) else 2
    flops = call.out_size() * (LAYER_NORM + (rows - 1) * SIMPLE)
    return Work(Kind.ELEMENTWISE, flops, bytes_read=rows * call.out_bytes())
