"""Why a scheme found nothing to quantize in a model, where no pass gave a reason. It changes nothing."""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir

from graphopt.ir import constant_tensor, nodes
from graphopt.quant.judge import integer_kind
from graphopt.quant.pairs import is_dq, is_q
from graphopt.quant.predict import HEAVY
from graphopt.report.units import plural

_HALF = (ir.DataType.FLOAT16, ir.DataType.BFLOAT16)


def why_idle(model: ir.Model) -> str:
    """What the heavy nodes of a model are, in words that follow "nothing to quantize"."""
    heavy = [node for node in nodes(model) if node.op_type in HEAVY]
    if not heavy:
        return "it has no Conv, Gemm, MatMul or other node that does most of the work of a network"
    main = [node for node in heavy if node.graph is model.graph]
    reasons = []
    if done := [node for node in heavy if _is_quantized(node)]:
        reasons.append(f"{_listed(done)} quantized already")
    if half := [node for node in main if node not in done and _computes_in_half(node)]:
        reasons.append(f"{_listed(half)} in half floats already")
    if inner := [node for node in heavy if node not in main and node not in done]:
        reasons.append(f"{_listed(inner)} in bodies of If, Loop or Scan, or in functions")
    if rest := [node for node in main if node not in done and node not in half]:
        reasons.append(f"{_listed(rest)} of no form that can be quantized")
    return ", ".join(reasons)


def _listed(found: list[ir.Node]) -> str:
    operators = ", ".join(dict.fromkeys(node.op_type for node in found))
    return f"{plural(len(found), 'node')} ({operators}) {'is' if len(found) == 1 else 'are'}"


def _is_quantized(node: ir.Node) -> bool:
    if integer_kind(node.domain, node.op_type):
        return True
    return any(is_dq(maker) or is_q(maker) for maker in _makers(node))


def _makers(node: ir.Node) -> Iterator[ir.Node]:
    for value in node.inputs:
        maker = None if value is None else value.producer()
        if maker is not None:
            yield maker


def _computes_in_half(node: ir.Node) -> bool:
    """Whether the type of an input that is known says so."""
    types = []
    for value in node.inputs:
        tensor = None if value is None else constant_tensor(value)
        types.append(tensor.dtype if tensor is not None else None if value is None else value.dtype)
    return any(each in _HALF for each in types)
