"""Facts about operators: one table, each fact stated once.

It says what an operator *is* (deterministic, commutative, a view ...), never what it costs or how a target
runs it. Operators of unknown domains are opaque: never merged, folded or reordered, removed only when dead.
"""

from __future__ import annotations

import dataclasses
import functools

import onnx_ir as ir

Operator = tuple[str, str]
"""Domain and name of an operator."""

KNOWN_DOMAINS = frozenset({"", "ai.onnx.ml"})

CONTROL_FLOW = frozenset({"If", "Loop", "Scan", "SequenceMap"})
"""The operators of the standard domain that hold graphs."""

FIRST_OPSET_COUNTING_BACK = 11
"""From here on the standard counts axes from the end too. Before, runtimes take negative axes, and
onnx.checker infers other shapes of some operators than they compute."""


@dataclasses.dataclass(frozen=True, slots=True)
class OpFacts:
    """What is true of every node of one operator.

    Attributes:
        known: The operator stands in the standard's schemas, so the other facts hold.
        random: Two runs may differ, so that it is never folded or merged.
        commutative: The two operands may change places.
        elementwise: Each output element depends on the elements at its (broadcast) place alone.
        monotone: Elementwise and non-decreasing in its single input.
        idempotent: f(f(x)) = f(x).
        view: The output holds the same elements in the same order; at most the shape differs.
        moves: The output holds only elements of the data input, unchanged (views included).
        reads_shape: Only the shape of the first input is read.
        expands: The output may be larger than all inputs together, by what an input's values say.
        shape_inputs: Inputs that hold shapes, axes, sizes, pads or indices rather than data.
    """

    known: bool = True
    random: bool = False
    commutative: bool = False
    elementwise: bool = False
    monotone: bool = False
    idempotent: bool = False
    view: bool = False
    moves: bool = False
    reads_shape: bool = False
    expands: bool = False
    shape_inputs: tuple[int, ...] = ()


OPAQUE = OpFacts(known=False)
PLAIN = OpFacts()

_ELEMENTWISE = OpFacts(elementwise=True)
_COMMUTATIVE = OpFacts(elementwise=True, commutative=True)
_MONOTONE = OpFacts(elementwise=True, monotone=True)
_ROUNDING = OpFacts(elementwise=True, monotone=True, idempotent=True)
_RANDOM = OpFacts(random=True)
_REDUCTION = OpFacts(shape_inputs=(1,))


def _each(names: str, facts: OpFacts) -> dict[str, OpFacts]:
    return dict.fromkeys(names.split(), facts)


_FACTS: dict[str, OpFacts] = {
    **_each("Add Mul And Or Xor Equal BitwiseAnd BitwiseOr BitwiseXor Min Max Sum Mean", _COMMUTATIVE),
    **_each("Sub Div Pow Mod Less LessOrEqual Greater GreaterOrEqual Where PRelu BitShift", _ELEMENTWISE),
    **_each("Neg Reciprocal Cos Sin Tan Cosh Acos Gelu Mish Swish HardSwish", _ELEMENTWISE),
    **_each("Not BitwiseNot IsNaN IsInf Cast CastLike BitCast QuantizeLinear DequantizeLinear", _ELEMENTWISE),
    **_each("Shrink Celu Selu Elu", _ELEMENTWISE),
    **_each("Exp Log Sqrt Sigmoid Tanh Erf Softplus Softsign HardSigmoid LeakyRelu", _MONOTONE),
    **_each("Asin Atan Sinh Asinh Acosh Atanh ThresholdedRelu", _MONOTONE),
    **_each("Relu Clip Floor Ceil Round Sign", _ROUNDING),
    "Abs": OpFacts(elementwise=True, idempotent=True),
    "Identity": OpFacts(elementwise=True, monotone=True, idempotent=True, view=True, moves=True),
    "Reshape": OpFacts(view=True, moves=True, shape_inputs=(1,)),
    "Squeeze": OpFacts(view=True, moves=True, shape_inputs=(1,)),
    "Unsqueeze": OpFacts(view=True, moves=True, shape_inputs=(1,)),
    "Flatten": OpFacts(view=True, moves=True),
    "Transpose": OpFacts(moves=True),
    "Slice": OpFacts(moves=True, shape_inputs=(1, 2, 3, 4)),
    "Split": OpFacts(moves=True, shape_inputs=(1,)),
    "Gather": OpFacts(moves=True, shape_inputs=(1,)),
    "GatherElements": OpFacts(moves=True, shape_inputs=(1,)),
    "GatherND": OpFacts(moves=True, shape_inputs=(1,)),
    "Concat": OpFacts(moves=True),
    "DepthToSpace": OpFacts(moves=True),
    "SpaceToDepth": OpFacts(moves=True),
    "ReverseSequence": OpFacts(moves=True, shape_inputs=(1,)),
    "Compress": OpFacts(moves=True, shape_inputs=(1,)),
    "Expand": OpFacts(moves=True, expands=True, idempotent=True, shape_inputs=(1,)),
    "Tile": OpFacts(moves=True, expands=True, shape_inputs=(1, 2)),
    "Pad": OpFacts(expands=True, shape_inputs=(1, 3)),
    "CenterCropPad": OpFacts(expands=True, shape_inputs=(1,)),
    "Resize": OpFacts(expands=True, shape_inputs=(1, 2, 3)),
    "Upsample": OpFacts(expands=True, shape_inputs=(1,)),
    "ConstantOfShape": OpFacts(expands=True, shape_inputs=(0,)),
    "Range": OpFacts(expands=True, shape_inputs=(0, 1, 2)),
    "OneHot": OpFacts(expands=True, shape_inputs=(1,)),
    "EyeLike": OpFacts(reads_shape=True),
    "Shape": OpFacts(reads_shape=True),
    "Size": OpFacts(reads_shape=True),
    "AffineGrid": OpFacts(expands=True, shape_inputs=(1,)),
    "BlackmanWindow": OpFacts(expands=True, shape_inputs=(0,)),
    "HammingWindow": OpFacts(expands=True, shape_inputs=(0,)),
    "HannWindow": OpFacts(expands=True, shape_inputs=(0,)),
    "MelWeightMatrix": OpFacts(expands=True, shape_inputs=(0, 1, 2)),
    "MaxUnpool": OpFacts(expands=True, shape_inputs=(1, 2)),
    "Col2Im": OpFacts(expands=True, shape_inputs=(1, 2)),
    "TopK": OpFacts(shape_inputs=(1,)),
    "Trilu": OpFacts(shape_inputs=(1,)),
    "CumSum": OpFacts(shape_inputs=(1,)),
    "Bernoulli": _RANDOM,
    "Multinomial": _RANDOM,
    "RandomNormal": _RANDOM,
    "RandomNormalLike": _RANDOM,
    "RandomUniform": _RANDOM,
    "RandomUniformLike": _RANDOM,
    **_each("ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean", _REDUCTION),
    **_each("ReduceMin ReduceProd ReduceSum ReduceSumSquare", _REDUCTION),
}


REDUCTIONS = tuple(sorted(name for name, each in _FACTS.items() if each is _REDUCTION))
"""The operators that reduce along axes, which newer opsets take as an input."""


@functools.cache
def allows_type(op_type: str, version: int, dtype: ir.DataType) -> bool:
    """Whether the standard lets the first input of an operator be of a type, as an opset defines it."""
    import onnx.defs
    from onnx import helper

    schema = onnx.defs.get_schema(op_type, version)
    name = helper.tensor_dtype_to_string(dtype.value).removeprefix("TensorProto.").lower()
    return f"tensor({name})" in schema.inputs[0].types


@functools.cache
def has_schema(domain: str, op_type: str, version: int) -> bool:
    """Whether the installed ONNX standard defines the operator at this opset."""
    import onnx.defs

    return bool(onnx.defs.has(op_type, domain=domain, max_inclusive_version=version))


def op_facts(domain: str, op_type: str, version: int = 1 << 20) -> OpFacts:
    """Facts of an operator; `OPAQUE` where its domain or name is not in the standard."""
    if domain not in KNOWN_DOMAINS or not has_schema(domain, op_type, version):
        return OPAQUE
    return _FACTS.get(op_type, PLAIN) if domain == "" else PLAIN


def facts(node: ir.Node) -> OpFacts:
    """Facts of the operator of `node`."""
    return op_facts(node.domain, node.op_type)


def is_deterministic(node: ir.Node) -> bool:
    """Whether two runs of `node` on equal inputs give equal outputs, bodies of control flow included.

    Opaque operators count as not deterministic; Dropout and BatchNormalization do so in training mode only.
    """
    known = facts(node)
    if not known.known or known.random or _in_training_mode(node):
        return False
    return all(is_deterministic(inner) for graph in subgraphs(node) for inner in graph)


def may_be_overwritten(value: ir.Value) -> bool:
    """Whether a runtime may write a constant: running statistics, by a BatchNormalization in training.

    It may be inside of a function or of an opaque operator. Such a constant can stand for no other that
    happens to be equal.
    """
    for use in value.uses():
        is_statistic = use.node.op_type == "BatchNormalization" and use.idx >= 3 and len(use.node.outputs) > 1
        if is_statistic or not facts(use.node).known:
            return True
    return False


def may_hold_graphs(node: ir.Node) -> bool:
    """Whether the operator of `node` is one whose attributes may be graphs; asked of every node, so cheap."""
    return node.op_type in CONTROL_FLOW or node.domain != ""


def subgraphs(node: ir.Node) -> list[ir.Graph]:
    """Bodies held by the attributes of `node`: If branches, Loop and Scan bodies."""
    found: list[ir.Graph] = []
    if not may_hold_graphs(node):
        return found
    for attribute in node.attributes.values():
        if attribute.is_ref():
            continue
        if attribute.type == ir.AttributeType.GRAPH:
            found.append(attribute.as_graph())
        elif attribute.type == ir.AttributeType.GRAPHS:
            found.extend(attribute.as_graphs())
    return found


def _in_training_mode(node: ir.Node) -> bool:
    if node.op_type == "BatchNormalization":
        mode = node.attributes.get("training_mode")
        return mode is not None and (mode.is_ref() or mode.as_int() != 0)
    if node.op_type == "Dropout" and len(node.inputs) > 2 and node.inputs[2] is not None:
        tensor = ir.convenience.get_const_tensor(node.inputs[2])
        return tensor is None or node.inputs[2].is_graph_input() or bool(tensor.numpy().any())
    return False
