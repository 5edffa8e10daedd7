"""Shapes, static and symbolic: onnx-shape-inference made safe for every model.

An inferred shape is a claim: it may rest on declarations that lie. `drop_false_shapes` holds claims against
a real execution. Nothing here changes what a graph computes.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence

import onnx_ir as ir

from graphopt.ir.dims import FALSE_SHAPE_KEY, Dim, MemoizedDim
from graphopt.ir.graphs import graphs, is_constant_node, static_shape
from graphopt.ir.ops import subgraphs

SYMBOLIC_VALUE_KEY = "pkg.onnx_shape_inference.sym_data"
_CONTEXT_KEY = "graphopt.shape_context"
_NO_SIZE = 1 << 63
"""Sizes have 63 bits; arithmetic on false ones leads beyond."""


@dataclasses.dataclass
class ShapeReport:
    """Outcome of shape inference.

    Attributes:
        values: Number of node outputs looked at.
        unknown: Number of those without a shape afterwards.
        errors: One message for each node whose inference failed.
    """

    values: int = 0
    unknown: int = 0
    errors: list[str] = dataclasses.field(default_factory=list)


def infer_shapes(model: ir.Model) -> ShapeReport:
    """Infer types and shapes of every value of `model` in place.

    Declared shapes of graph inputs and of values made by opaque operators are the premises. All other
    declared shapes are discarded first, since exporters write false ones. Dimensions that share a declared
    name are equal; unnamed ones (`?`, `-1`, none) get names of their own.

    Never raises on a model that the verifier accepts: a node whose inference fails is listed in the report.
    """
    from onnx_shape_inference import SYM_DATA_KEY, registry

    from graphopt.ir.inference import Context

    assert SYM_DATA_KEY == SYMBOLIC_VALUE_KEY
    registry.collect()
    context = Context(model.opset_imports)
    forget_shapes(model)
    context.reserve_symbol_names([*_sanitize_inputs(model), *_premised_names(model)])
    model.meta[_CONTEXT_KEY] = context
    report = ShapeReport()
    defaults = _hide_defaults(model, model.graph.inputs)
    try:
        _infer_graph(context, model.graph, report)
        for function in model.functions.values():
            _infer_graph(context, function.graph, report)
    finally:
        for value, tensor in defaults:
            value.const_value = tensor
    context.is_current = True
    return report


def refresh_shapes(model: ir.Model) -> None:
    """Infer the shapes of the whole model again, unless nothing has changed since that was done last."""
    context = model.meta.get(_CONTEXT_KEY)
    if context is None or not context.is_current:
        infer_shapes(model)


def outdate_shapes(model: ir.Model) -> None:
    """Note that the model was changed: inferring again may now tell more."""
    if has_shapes(model):
        model.meta[_CONTEXT_KEY].is_current = False


def has_shapes(model: ir.Model) -> bool:
    """Whether shapes were inferred on this very object (a clone needs `adopt_shapes`)."""
    return _CONTEXT_KEY in model.meta


def adopt_shapes(model: ir.Model, original: ir.Model | None = None) -> None:
    """Go on with the shapes that a clone has inherited, instead of inferring them again.

    Args:
        model: The clone.
        original: What it is a clone of, if that stands as it was inferred (see `refresh_shapes`).
    """
    from graphopt.ir.inference import Context

    context = Context(model.opset_imports)
    context.is_current = original is not None and original.meta[_CONTEXT_KEY].is_current
    lengths: dict[str, ir.SymbolicDim] = {}
    for graph in graphs(model):
        for value in (*graph.inputs, *(output for node in graph for output in node.outputs)):
            if value.shape is not None:
                named = (dim for dim in value.shape.dims if not isinstance(dim, int))
                lengths.update((dim.value, dim) for dim in named if dim.value)
            known = symbolic_value(value)
            if known is not None:
                context.set_symbolic_value(value, known)
    shape = ir.Shape(lengths.values())
    context.note_lengths(shape)
    context.reserve_symbol_names(_symbols(shape))
    model.meta[_CONTEXT_KEY] = context


def infer_node(model: ir.Model, node: ir.Node) -> None:
    """Infer types and shapes of the outputs of a node just made, from those of its inputs."""
    context = model.meta.get(_CONTEXT_KEY)
    if context is None:
        return
    inputs = [value for value in node.inputs if value is not None and value.is_graph_input()]
    defaults = _hide_defaults(model, inputs)
    try:
        _infer_one(context, node, ShapeReport())
    finally:
        for value, tensor in defaults:
            value.const_value = tensor


def refine_shapes(model: ir.Model, values: Iterable[ir.Value]) -> list[ir.Node]:
    """Infer again what follows from values that came to be known better, as far as that tells more.

    Returns:
        The nodes whose outputs are known otherwise than before.
    """
    queue = deque(node for value in values for node in value.consumers())
    seen: set[ir.Node] = set()
    refined = []
    while queue:
        node = queue.popleft()
        if node in seen:
            continue
        seen.add(node)
        before = [str(output.shape) for output in node.outputs]
        if node.graph is None or all(static_shape(output) is not None for output in node.outputs):
            continue
        infer_node(model, node)
        for output, shape in zip(node.outputs, before, strict=True):
            if str(output.shape) != shape:
                queue.extend(output.consumers())
                refined.append(node)
    return refined


def forget_shapes(model: ir.Model) -> None:
    """Discard every shape that a node of a known operator gives its outputs, and symbolic values."""
    for graph in graphs(model):
        for node in graph:
            opaque = _is_opaque(model, node)
            for output in node.outputs:
                output.metadata_props.pop(SYMBOLIC_VALUE_KEY, None)
                if not opaque:
                    output.shape = None
                    if not is_constant_node(node):
                        output.const_value = None
        if graph is not model.graph:
            for value in graph.inputs:
                value.shape = None


def symbolic_value(value: ir.Value | None) -> list[Dim] | None:
    """The elements of an integer scalar or vector as inference knows them, numbers or symbolic dimensions.

    None where they are unknown. Numbers come with the same caution as shapes: they are claims.
    """
    if value is None:
        return None
    text = value.metadata_props.get(SYMBOLIC_VALUE_KEY)
    if text is None:
        return None
    return [element if isinstance(element, int) else ir.SymbolicDim(element) for element in json.loads(text)]


def drop_false_shapes(model: ir.Model, real: Mapping[str, Sequence[tuple[int, ...]]]) -> list[str]:
    """Hold the shapes of main-graph values against real ones and drop those that disagree.

    A number that is another number in truth is dropped with its value's whole shape. A symbolic dimension
    that has two sizes within one execution is dropped wherever it stands.

    Args:
        model: A model with inferred shapes; changed in place.
        real: Value name -> its real shape in each of several executions.

    Returns:
        One message for each value whose claimed shape was false.
    """
    messages = []
    sizes: dict[tuple[str, int], int] = {}
    torn: set[str] = set()
    for value in (*model.graph.inputs, *(output for node in model.graph for output in node.outputs)):
        for run, found in enumerate(real.get(value.name or "", ())):
            claimed = value.shape
            if claimed is None:
                break
            if not _agrees(claimed, found):
                messages.append(f"{value.name}: inferred shape {claimed}, real shape {list(found)}")
                _forget_claims(value)
                break
            for dim, size in zip(claimed.dims, found, strict=True):
                name = None if isinstance(dim, int) else dim.value
                if name is not None and sizes.setdefault((name, run), size) != size:
                    torn.add(name)
    if messages or torn:
        outdate_shapes(model)
    if torn:
        messages.extend(f"dimension {name}: has two sizes in one run" for name in sorted(torn))
        for graph in graphs(model):
            for node in graph:
                for output in node.outputs:
                    if output.shape is not None and any(str(dim) in torn for dim in output.shape.dims):
                        _forget_claims(output)
    return messages


def _forget_claims(value: ir.Value) -> None:
    value.meta[FALSE_SHAPE_KEY] = True  # or the next inference would claim the same again
    value.shape = None
    value.metadata_props.pop(SYMBOLIC_VALUE_KEY, None)
    value.const_value = None


def _agrees(claimed: ir.Shape, found: tuple[int, ...]) -> bool:
    if len(claimed) != len(found):
        return False
    return all(not isinstance(dim, int) or dim == size for dim, size in zip(claimed.dims, found, strict=True))


def _symbols(shape: ir.Shape) -> Iterator[str]:
    """Names in the symbolic dimensions of a shape, found without parsing the expressions."""
    for dim in shape.dims:
        if not isinstance(dim, int) and dim.value:
            yield from re.findall(r"[A-Za-z_]\w*", dim.value)


def _is_opaque(model: ir.Model, node: ir.Node) -> bool:
    from onnx_shape_inference import registry

    return registry.get(node.domain, node.op_type, version=model.opset_imports.get(node.domain, 1)) is None


def _premised_names(model: ir.Model) -> Iterator[str]:
    """Names in the shapes that opaque operators give their outputs."""
    for graph in graphs(model):
        for node in graph:
            for value in node.outputs:
                if value.shape is not None:
                    yield from _symbols(value.shape)


def _sanitize_inputs(model: ir.Model) -> list[str]:
    """Give unnamed input dimensions names of their own; returns all names in use."""
    declared = {
        dim.value
        for value in model.graph.inputs
        if value.shape is not None
        for dim in value.shape.dims
        if not isinstance(dim, int) and dim.value
    }
    names: dict[str, str] = {}
    taken: set[str] = set()
    for value in model.graph.inputs:
        if value.shape is None:
            continue
        dims: list[int | str] = []
        for index, dim in enumerate(value.shape.dims):
            text = str(dim) if isinstance(dim, int) else dim.value
            if isinstance(dim, int) and dim >= 0:
                dims.append(dim)
            elif text is None or not any(letter.isalpha() for letter in text):
                name = _unused(f"{_identifier(value.name)}_{index}", taken | declared)
                taken.add(name)
                dims.append(name)
            else:
                if text not in names:
                    clean = _identifier(text)
                    names[text] = clean if clean == text else _unused(clean, taken | declared)
                taken.add(names[text])
                dims.append(names[text])
        value.shape = ir.Shape([MemoizedDim(dim) if isinstance(dim, str) else dim for dim in dims])
    return sorted(taken)


def _identifier(text: str | None) -> str:
    clean = "".join(letter if letter.isalnum() and letter.isascii() else "_" for letter in text or "dim")
    return clean if clean[:1].isalpha() else f"d{clean}"


def _unused(base: str, taken: set[str]) -> str:
    name, number = base, 1
    while name in taken:
        number += 1
        name = f"{base}_{number}"
    return name


def _hide_defaults(model: ir.Model, inputs: Iterable[ir.Value]) -> list[tuple[ir.Value, ir.TensorProtocol]]:
    """Hide initializers that a caller may override; a default is no fact about other calls."""
    hidden = []
    if model.ir_version is not None and model.ir_version >= 4:
        for value in inputs:
            if value.const_value is not None:
                hidden.append((value, value.const_value))
                value.const_value = None
    return hidden


def _infer_graph(context: object, graph: ir.Graph, report: ShapeReport) -> None:
    for value in graph.initializers.values():
        if value.const_value is not None:
            value.shape = ir.Shape(value.const_value.shape.numpy())
            value.dtype = value.const_value.dtype
    for value in graph.inputs:
        context.name_anonymous_dims(value)  # type: ignore[attr-defined]
    for node in graph:
        _seed_bodies(node)
        for body in subgraphs(node):
            _infer_graph(context, body, report)
        _infer_one(context, node, report)
        for output in node.outputs:
            report.values += 1
            report.unknown += output.shape is None


def _infer_one(context: object, node: ir.Node, report: ShapeReport) -> None:
    from graphopt.ir.inference import infer, infer_types

    if any(attribute.is_ref() for attribute in node.attributes.values()):
        return
    for value in node.inputs:
        if value is not None and value.const_value is None:
            context.name_anonymous_dims(value)  # type: ignore[attr-defined]
    try:
        if not infer(context, node):
            for value in node.outputs:
                context.name_anonymous_dims(value)  # type: ignore[attr-defined]
    except Exception as error:  # a third party's inference must not stop ours
        report.errors.append(f"{node.op_type} {node.name!r}: {error}")
    for value in node.outputs:
        if value.shape is not None and any(
            isinstance(dim, int) and not 0 <= dim < _NO_SIZE for dim in value.shape
        ):
            report.errors.append(f"{node.op_type} {node.name!r}: a size of {value.name!r} cannot be")
            _forget_claims(value)
        if value.type is not None and value.dtype is None:
            value.type = None  # a tensor, or a sequence of them, of nobody knows what
    if any(value.type is None for value in node.outputs):
        infer_types(node, context.get_opset_version(node.domain))  # type: ignore[attr-defined]


def _seed_bodies(node: ir.Node) -> None:
    """Give the inputs of Loop and Scan bodies what is known before the body has run.

    Ranks and dtypes only for values that a body may change from one iteration to the next: their declared
    shapes stand (nothing, after `forget_shapes`), since the first iteration's shape need not be the last's.
    """
    if node.domain or node.op_type not in ("Loop", "Scan"):
        return
    body = node.attributes["body"].as_graph()
    if node.op_type == "Loop":
        for value in body.inputs[:2]:
            value.shape = ir.Shape(())
    carried = 2 if node.op_type == "Loop" else 0
    for inner, outer in zip(body.inputs[carried:], node.inputs[carried:], strict=False):
        if outer is not None and inner.dtype is None and outer.dtype is not None:
            inner.dtype = outer.dtype
