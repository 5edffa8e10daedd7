"""Carry out the layouts chosen: rebuild the nodes that have one, put Transposes where orders differ."""

from __future__ import annotations

import onnx_ir as ir

from graphopt.ir import PROVENANCE_KEY, constant, remove_node, replace_value
from graphopt.passes.layout._flow import Flow
from graphopt.passes.layout._layout import Builder, Draft, Layout
from graphopt.passes.layout._perms import Perm, between, compose, is_identity


def emit(flow: Flow, builder: Builder) -> None:
    """Change the graph of `flow` as its layouts say; Transposes that nobody reads any more go."""
    _Emitter(flow, builder).run()


class _Emitter:
    def __init__(self, flow: Flow, builder: Builder) -> None:
        self._flow = flow
        self._builder = builder
        self._made: dict[ir.Value, ir.Value] = {}
        self._transposed: dict[tuple[ir.Value, Perm], ir.Value] = {}

    def run(self) -> None:
        flow = self._flow
        for chosen in flow.layouts.values():
            self._change_others(chosen)
        looked_through = set(flow.transposes)
        old = []
        for node in list(flow.graph):
            layout = flow.layouts.get(node)
            if node in looked_through:
                self._pass(node)
            elif layout is None:
                self._reread(node)
            else:
                self._rebuild(node, layout)
                old.append(node)
        for value in list(flow.graph.outputs):
            self._write(value)
        _remove([*old, *flow.transposes])

    def _change_others(self, layout: Layout) -> None:
        for node, index, change in layout.others:
            value = node.inputs[index]
            array = constant(value)
            assert array is not None and value is not None
            node.replace_input_with(index, self._builder.const(change(array), value, (id(node), index)))

    def _pass(self, transpose: ir.Node) -> None:
        """Remember a Transpose of a value that stays, for whoever wants that order from here on."""
        value = transpose.outputs[0]
        origin = self._flow.origin(value)
        if origin is not None and origin[0] not in self._made:
            self._transposed.setdefault(origin, value)

    def _reread(self, node: ir.Node) -> None:
        """Let a node that stays read what the nodes before it have become."""
        for index, value, perm in self._flow.reads(node):
            if value in self._made:
                node.replace_input_with(index, self._fetch(value, perm, node))

    def _rebuild(self, node: ir.Node, layout: Layout) -> None:
        inputs = list(node.inputs)
        for index, value, perm in self._flow.reads(node):
            own = layout.perm(index)
            wanted = perm if own is None else compose(perm, own)
            if value in self._made or (own is not None and not is_identity(own)):
                inputs[index] = self._fetch(value, wanted, node)
        draft = Draft(node, node.op_type, inputs, dict(node.attributes), self._builder)
        for edit in layout.edits:
            edit(draft)
        outputs = []
        for output in node.outputs:
            name = self._builder.names.fresh(output.name) if output.name else output.name
            made = ir.Value(name=name, type=output.type)
            if output.shape is not None:
                made.shape = ir.Shape([output.shape.dims[axis] for axis in layout.outputs])
            made.metadata_props.update(output.metadata_props)
            outputs.append(made)
        new = ir.Node(
            "", draft.op_type, draft.inputs, list(draft.attributes.values()), outputs=outputs, name=node.name,
            doc_string=node.doc_string,
        )  # fmt: skip
        new.metadata_props.update(node.metadata_props)
        new.metadata_props[PROVENANCE_KEY] = node.metadata_props.get(PROVENANCE_KEY) or node.name or ""
        self._flow.graph.insert_before(node, new)
        self._made.update(zip(node.outputs, outputs, strict=True))

    def _write(self, output: ir.Value) -> None:
        """Let an output of the graph be the same value as before, under its name."""
        origin = self._flow.origin(output)
        if origin is None or origin[0] not in self._made:
            return
        new = self._fetch(*origin, None)
        if new.is_graph_output():
            new = self._builder.node("Identity", [new], {}, None)
        replace_value(output, new, is_new=True)

    def _fetch(self, value: ir.Value, wanted: Perm, before: ir.Node | None) -> ir.Value:
        """A value in the order wanted, transposed where it is made in another."""
        source = self._made.get(value, value)
        perm = between(self._flow.kept(value), wanted)
        if is_identity(perm):
            return source
        known = self._transposed.get((value, wanted))
        if known is None:
            known = self._builder.node("Transpose", [source], {"perm": list(perm)}, before)
            self._transposed[value, wanted] = known
        return known


def _remove(candidates: list[ir.Node]) -> None:
    """Remove those that nobody reads, whatever their order."""
    known = set(candidates)
    stack = list(candidates)
    while stack:
        node = stack.pop()
        if node.graph is None or any(output.uses() or output.is_graph_output() for output in node.outputs):
            continue
        producers = [value.producer() for value in node.inputs if value is not None]
        remove_node(node)
        stack.extend(producer for producer in producers if producer in known)
