"""Raise a model to a newer version of the standard operator set, in place and whole, or not at all.

Only nodes that the newer version defines anew in a way that concerns them change; values keep their objects
and names, and weights are not touched. Nothing is converted down: that direction loses meaning.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import onnx_ir as ir

from graphopt.errors import GraphoptError
from graphopt.ir.graphs import Names, graphs, mapped_bodies
from graphopt.ir.kernels import keeps_kernels, runs_as_function
from graphopt.ir.opsets.adapters import ADAPTERS
from graphopt.ir.opsets.draft import CannotRaise, Constants, Draft, Planned
from graphopt.ir.opsets.steps import difference, steps
from graphopt.ir.opsets.versions import oldest_ir_version
from graphopt.ir.rewrite import PROVENANCE_KEY
from graphopt.ir.shapes import infer_node

Runs = Callable[[Draft, int], bool]
"""Whether a runtime runs what a node becomes, as an opset defines it."""


class OpsetError(GraphoptError):
    """A model cannot be raised.

    Attributes:
        refusals: Reason and name of each node that stands in the way.
    """

    def __init__(self, version: int, refusals: list[tuple[str, str]]) -> None:
        reason, name = refusals[0]
        more = f" (and {len(refusals) - 1} more)" if len(refusals) > 1 else ""
        super().__init__(f"the model cannot be raised to opset {version}: {name}: {reason}{more}")
        self.refusals = refusals


def raise_opset(model: ir.Model, version: int, runs: Runs = lambda draft, version: True) -> None:
    """Raise a model to opset `version`, and its IR version to the one that goes with it.

    Args:
        model: Changed in place; shapes already known stay.
        version: At least the model's.
        runs: Asked for each node, so that none is raised to where it no longer runs.

    Raises:
        OpsetError: Nodes cannot be raised; nothing was changed.
    """
    old = model.opset_imports.get("", version)
    constants = Constants()
    drafts, refusals = _drafts(model, old, version, constants, runs)
    if refusals:
        raise OpsetError(version, refusals)
    for graph in graphs(model):
        if graph.opset_imports.get("", version) < version:
            graph.opset_imports[""] = version
    model.ir_version = max(model.ir_version, oldest_ir_version(version))
    names = Names(model)
    for value in constants.values.values():
        _place(value, model.graph, names)
    for draft in drafts:
        _commit(model, draft, names)


def _drafts(
    model: ir.Model, old: int, new: int, constants: Constants, runs: Runs
) -> tuple[list[Draft], list[tuple[str, str]]]:
    """What the nodes that change become, and what stands in the way."""

    drafts = []
    refusals = [
        ("the function is not inlined", function.name)
        for function in model.functions.values()
        if function.opset_imports.get("", new) != new
    ]
    mapped = mapped_bodies(model)
    for graph in () if refusals else graphs(model):
        for node in graph:
            if node.domain:
                continue
            concerned = _concerned(node.op_type, old, new)
            if not concerned and keeps_kernels(node.op_type, old, new):
                continue
            draft = Draft(node, new, constants)
            try:
                if concerned:
                    _raise_node(draft, old)
                if not runs(draft, new) and runs(Draft(node, old, constants), old):
                    raise CannotRaise(f"onnxruntime does not run it at opset {new}")
                if id(graph) in mapped and _becomes_function(draft, old, new):
                    raise CannotRaise(f"onnxruntime does not run it in a SequenceMap at opset {new}")
            except CannotRaise as reason:
                refusals.append((f"{draft.op_type}: {reason}", node.name or node.outputs[0].name or ""))
                continue
            if concerned:
                drafts.append(draft)
    return drafts, refusals


def _becomes_function(draft: Draft, old: int, new: int) -> bool:
    node = draft.node
    return runs_as_function(draft.op_type, new, draft.inputs) and not runs_as_function(
        node.op_type, old, node.inputs
    )


_FROM_ONNXRUNTIME = {"LayerNormalization", "SimplifiedLayerNormalization"}
"""Operators that onnxruntime's optimizer writes at any opset, meaning what the newest defines."""


@functools.cache
def _concerned(op_type: str, old: int, new: int) -> bool:
    """Whether a step between two versions may change nodes of an operator."""
    between = steps(op_type, old, new)
    return between is None or any(
        (op_type, step) in ADAPTERS or difference(op_type, step) is not None for step in between
    )


def _raise_node(draft: Draft, old: int) -> None:
    """Take a draft through all steps; one may make it another operator, whose steps it then goes on with."""
    version = old
    while version < draft.target:
        between = steps(draft.op_type, version, draft.target)
        if between is None and draft.op_type in _FROM_ONNXRUNTIME:
            return
        if between is None:
            raise CannotRaise(f"opset {version} does not define it")
        if not between:
            return
        version = between[0]
        adapter = ADAPTERS.get((draft.op_type, version))
        if adapter is not None:
            adapter(draft)
            continue
        changed = difference(draft.op_type, version)
        if changed is not None:
            raise CannotRaise(f"in opset {version}, {changed}")


def _place(value: ir.Value, graph: ir.Graph, names: Names) -> None:
    tensor = value.const_value
    assert tensor is not None and value.name is not None
    value.name = tensor.name = names.fresh(value.name)
    graph.initializers.add(value)


def _commit(model: ir.Model, draft: Draft, names: Names) -> None:
    node = draft.node
    graph = node.graph
    assert graph is not None
    made = [_node(planned, node, names) for planned in draft.before]
    graph.insert_before(node, made)
    node.op_type = draft.op_type
    node.version = None
    node.resize_inputs(len(draft.inputs))
    for index, value in enumerate(draft.inputs):
        if node.inputs[index] is not value:
            node.replace_input_with(index, value)
    for name in [name for name in node.attributes if name not in draft.attributes]:
        del node.attributes[name]
    node.attributes.update(draft.attributes)
    if draft.outputs < len(node.outputs):
        node.resize_outputs(draft.outputs)
    for new in made:
        infer_node(model, new)


def _node(planned: Planned, origin: ir.Node, names: Names) -> ir.Node:
    """A planned node, which says where it comes from."""
    planned.output.name = names.fresh(planned.output.name or planned.op_type)
    made = ir.Node(
        "",
        planned.op_type,
        planned.inputs,
        ir.convenience.convert_attributes(planned.attributes),
        outputs=[planned.output],
        name=planned.output.name,
    )
    made.metadata_props[PROVENANCE_KEY] = origin.metadata_props.get(PROVENANCE_KEY) or origin.name or ""
    return made
