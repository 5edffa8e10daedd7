"""Why a captured program has no ONNX form: every operator without a translation, its line, and what to write.

Only words failures. The operators are read from the frames of torch's exporter, which stops at the first one.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Any

import torch

from graphopt.errors import TraceError
from graphopt.pytorch.importer.source_lines import SourceLine, line_of_node

_ELSEWHERE = "compute it outside of the module and pass the result as an input or keep it as a buffer"
_APPROXIMATE = "ONNX has no such function: approximate it by a polynomial of the range you need"
_FIXED_POOL = "use max_pool with a fixed kernel, where the input's size is a multiple of the output's"

_REMEDIES = {
    "_cdist_forward": "(x[:, None] - y).square().sum(-1).sqrt() instead",
    "_linalg_eigh": _ELSEWHERE,
    "_linalg_solve_ex": _ELSEWHERE,
    "_linalg_svd": _ELSEWHERE,
    "adaptive_max_pool2d": _FIXED_POOL,
    "adaptive_max_pool3d": _FIXED_POOL,
    "bessel_i0": _APPROXIMATE,
    "cummax": "amax over x[None].masked_fill(later, -inf), with `later` a triangular mask, instead",
    "cummin": "amin over x[None].masked_fill(later, inf), with `later` a triangular mask, instead",
    "digamma": _APPROXIMATE,
    "erfinv": _APPROXIMATE,
    "fractional_max_pool2d": _FIXED_POOL,
    "histc": "torch.bincount of torch.bucketize(x, edges) instead",
    "index_reduce": "torch.Tensor.scatter_reduce instead",
    "kthvalue": "torch.topk(x, k, largest=False).values[..., -1] instead",
    "lgamma": _APPROXIMATE,
    "linalg_cholesky_ex": _ELSEWHERE,
    "linalg_eig": _ELSEWHERE,
    "linalg_inv_ex": _ELSEWHERE,
    "linalg_lu_factor_ex": _ELSEWHERE,
    "linalg_matrix_exp": _ELSEWHERE,
    "linalg_qr": _ELSEWHERE,
    "map_impl": "torch.vmap, or an axis for the batch, instead",
    "median": "torch.sort(x).values[..., (n - 1) // 2] instead",
    "mode": "the argmax of torch.bincount instead",
    "put": "torch.Tensor.scatter over the flattened tensor instead",
    "searchsorted": "torch.bucketize, or (boundaries < x[..., None]).sum(-1), instead",
    "segment_reduce": "torch.Tensor.index_add or scatter_reduce instead",
}
"""What to write instead of an operator, by its name without namespace and overload."""


def explained_translation(error: BaseException, name: str) -> TraceError:
    """A TraceError that names every operator without a translation.

    Args:
        error: What torch's exporter raised.
        name: The module's class.
    """
    found = _locals(error)
    graph, node = found.get("fx_graph"), found.get("node")
    registry: Any = found.get("registry")
    missing: dict[str, SourceLine | None] = {}
    targets = []
    if isinstance(graph, torch.fx.Graph) and hasattr(registry, "is_registered"):
        for one in graph.nodes:
            target = one.target
            if one.op == "call_function" and _is_operator(target) and not registry.is_registered(target):
                if str(target) not in missing:
                    targets.append(target)
                missing.setdefault(str(target), line_of_node(one))
    if missing:
        return _missing(name, missing, targets, registry)
    reason = _reason(error)
    if isinstance(node, torch.fx.Node) and node.op == "call_function":
        where = line_of_node(node)
        place = f", at `{where.text}` ({where})" if where is not None else ""
        what = f"{node.target} has no ONNX form for these arguments: {reason}{place}"
        return TraceError(f"{name} cannot be translated: {what}", hint=_custom(node.target))
    return TraceError(
        f"{name} cannot be translated: {reason}", hint="write the part in question with simpler functions"
    )


def _missing(
    name: str, missing: dict[str, SourceLine | None], targets: list[Any], registry: Any
) -> TraceError:
    lines = [
        f"{operator}, at `{where.text}` ({where})" if where is not None else operator
        for operator, where in missing.items()
    ]
    what = "an operator has" if len(lines) == 1 else f"{len(lines)} operators have"
    told = f": {lines[0]}" if len(lines) == 1 else "".join(f"\n  {line}" for line in lines)
    remedies = {str(target): _remedy(target, registry) for target in targets}
    hints = [f"{operator}: {remedy}" for operator, remedy in remedies.items() if remedy]
    return TraceError(
        f"{name} cannot be translated: {what} no ONNX form{told}",
        hint="; ".join([*hints, ("or " if hints else "") + _custom(targets[0])]),
    )


def _is_operator(target: Any) -> bool:
    """Whether an FX node's target computes something; `with_effects` only keeps checks in their order."""
    if not isinstance(target, torch._ops.OperatorBase):
        return False
    return not str(target).startswith("onnx.") and str(target) != "with_effects"


def _base_name(target: Any) -> str:
    """`aten.searchsorted.Tensor` -> `searchsorted`."""
    parts = str(target).split(".")
    return parts[1] if len(parts) > 1 else parts[0]


def _remedy(target: Any, registry: Any) -> str:
    base = _base_name(target)
    if base in _REMEDIES:
        return _REMEDIES[base]
    if not str(target).startswith("aten."):
        return ""
    known = sorted({str(key).split("::")[-1].split(".")[0] for key in registry.functions})
    near = difflib.get_close_matches(base, known, n=2, cutoff=0.75)
    return f"see whether {' or '.join(near)} will do, which can be translated" if near else ""


def _custom(target: Any) -> str:
    return f"give a translation: custom_translation_table={{torch.ops.{target}: function}}"


def _locals(error: BaseException) -> dict[str, Any]:
    """Local variables of torch's exporter at the failure, the innermost of each name."""
    found: dict[str, Any] = {}
    for one in _chain(error):
        trace = one.__traceback__
        while trace is not None:
            names = trace.tb_frame.f_locals
            for key in ("registry", "fx_graph", "node"):
                if names.get(key) is not None and trace.tb_frame.f_code.co_name.startswith(("_", "export")):
                    found.setdefault(key, names[key])
            trace = trace.tb_next
    return found


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An exception and what caused it, the root first."""
    chain: list[BaseException] = []
    current: BaseException | None = error
    while current is not None:
        chain.append(current)
        current = current.__cause__ or current.__context__
    yield from reversed(chain)


def _reason(error: BaseException) -> str:
    root = next(_chain(error))
    lines = [line.strip() for line in str(root).splitlines() if line.strip()]
    return f"{type(root).__name__}: {lines[0]}" if lines else type(root).__name__
