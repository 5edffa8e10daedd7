"""Which nodes of one model became which of another, as data.

Nodes are matched by the provenance that rewrites leave behind, then by name, then by the value they make. It
reads two models and runs neither: nodes of equal function but other names count as removed and new.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import onnx_ir as ir

from graphopt.io import Interface
from graphopt.ir import PROVENANCE_KEY, constant_node_tensor, graphs, is_constant_node, nodes


@dataclasses.dataclass(frozen=True)
class NodeRef:
    """A node, for people: its operator and its name (or that of its first output)."""

    op: str
    name: str


@dataclasses.dataclass(frozen=True)
class Became:
    """Nodes of the first model and the node of the second that stands for them.

    Attributes:
        sources: The nodes it came from, in the first model's order.
        node: The node.
        what: What is not the same: "attributes", "inputs", "operator", or "" where it was fused.
    """

    sources: tuple[NodeRef, ...]
    node: NodeRef
    what: str = ""


@dataclasses.dataclass(frozen=True)
class Diff:
    """The difference of two models.

    Attributes:
        nodes: Nodes of each, Constant not counted, bodies and functions counted.
        ops: Operator -> nodes of each, of the operators whose number differs; largest difference first.
        kept: Number of nodes that are the same.
        changed: Nodes with one source, of which attributes, inputs or the operator differ.
        fused: Nodes made of several.
        removed: Nodes of the first that are in none of the second.
        new: Nodes of the second that come from none of the first.
        interface: Differences of inputs, outputs and opsets, a line each.
        constants: Differences of initializers and Constant nodes by name, "changed", "removed" and "new".
    """

    nodes: tuple[int, int]
    ops: dict[str, tuple[int, int]]
    kept: int
    changed: tuple[Became, ...]
    fused: tuple[Became, ...]
    removed: tuple[NodeRef, ...]
    new: tuple[NodeRef, ...]
    interface: tuple[str, ...]
    constants: dict[str, tuple[str, ...]]

    @property
    def same(self) -> bool:
        """Whether the models are one and the same but for metadata."""
        nodes_differ = self.changed or self.fused or self.removed or self.new
        return not (nodes_differ or self.interface or any(self.constants.values()))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"same": self.same, **dataclasses.asdict(self)}


def diff(before: ir.Model, after: ir.Model) -> Diff:
    """Compare two models node by node.

    Args:
        before: The first model; neither is changed.
        after: The second.
    """
    olds = [node for node in nodes(before) if not is_constant_node(node)]
    news = [node for node in nodes(after) if not is_constant_node(node)]
    index = _Index(olds)
    kept = 0
    changed: list[Became] = []
    fused: list[Became] = []
    made: list[NodeRef] = []
    used: set[int] = set()
    for node in news:
        sources = index.sources(node)
        used.update(sources)
        if not sources:
            made.append(_ref(node))
        elif len(sources) > 1:
            fused.append(Became(tuple(_ref(olds[i]) for i in sources), _ref(node)))
        elif what := _difference(olds[sources[0]], node):
            changed.append(Became((_ref(olds[sources[0]]),), _ref(node), what))
        else:
            kept += 1
    return Diff(
        nodes=(len(olds), len(news)),
        ops=_ops(olds, news),
        kept=kept,
        changed=tuple(changed),
        fused=tuple(fused),
        removed=tuple(_ref(node) for i, node in enumerate(olds) if i not in used),
        new=tuple(made),
        interface=tuple(_interface(before, after)),
        constants=_constants(before, after),
    )


class _Index:
    """Finds nodes of the first model by name and by the values they make."""

    def __init__(self, olds: list[ir.Node]) -> None:
        self._olds = olds
        self._by_name: dict[str, int] = {}
        self._by_output: dict[str, int] = {}
        for i, node in enumerate(olds):
            if node.name:
                self._by_name.setdefault(node.name, i)
            for output in node.outputs:
                if output.name:
                    self._by_output.setdefault(output.name, i)

    def sources(self, node: ir.Node) -> tuple[int, ...]:
        """Positions of the nodes that `node` came from."""
        text = node.metadata_props.get(PROVENANCE_KEY)
        if text:
            parts = (part.strip() for part in text.split(","))
            return tuple(sorted({self._by_name[part] for part in parts if part in self._by_name}))
        named = self._by_name.get(node.name or "")
        if named is not None and self._olds[named].op_identifier() == node.op_identifier():
            return (named,)
        made = next((self._by_output[o.name] for o in node.outputs if o.name in self._by_output), None)
        return () if made is None else (made,)


def _difference(old: ir.Node, new: ir.Node) -> str:
    if old.op_identifier() != new.op_identifier():
        return "operator"
    if _attributes(old) != _attributes(new):
        return "attributes"
    return "" if _inputs(old) == _inputs(new) else "inputs"


def _attributes(node: ir.Node) -> dict[str, object]:
    return {name: _attribute(attribute) for name, attribute in node.attributes.items()}


def _attribute(attribute: ir.Attr) -> object:
    """A comparable value; bodies are compared node by node, by the walk over all nodes."""
    if attribute.is_ref():
        return ("reference", attribute.ref_attr_name)
    if attribute.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS):
        return attribute.type
    if attribute.type == ir.AttributeType.TENSOR:
        return _content(attribute.as_tensor())
    value = attribute.value
    return tuple(value) if isinstance(value, (list, tuple)) else value


def _inputs(node: ir.Node) -> list[str | None]:
    return [None if value is None else value.name for value in node.inputs]


def _ops(olds: Iterable[ir.Node], news: Iterable[ir.Node]) -> dict[str, tuple[int, int]]:
    before, after = Counter(map(_operator, olds)), Counter(map(_operator, news))
    ops = {op: (before[op], after[op]) for op in {**before, **after} if before[op] != after[op]}
    return dict(sorted(ops.items(), key=lambda item: (-abs(item[1][0] - item[1][1]), item[0])))


def _interface(before: ir.Model, after: ir.Model) -> Iterator[str]:
    yield from Interface.of(before).differences(after)
    for domain in {**before.opset_imports, **after.opset_imports}:
        old, new = (str(model.opset_imports.get(domain, "absent")) for model in (before, after))
        if old != new:
            yield f"opset of {domain or 'ai.onnx'}: {old} -> {new}"


def _constants(before: ir.Model, after: ir.Model) -> dict[str, tuple[str, ...]]:
    old, new = _tensors(before), _tensors(after)
    return {
        "changed": tuple(name for name in old if name in new and not _equal(old[name], new[name])),
        "removed": tuple(name for name in old if name not in new),
        "new": tuple(name for name in new if name not in old),
    }


def _tensors(model: ir.Model) -> Mapping[str, ir.TensorProtocol]:
    """Initializers and Constant nodes by value name."""
    found: dict[str, ir.TensorProtocol] = {}
    for graph in graphs(model):
        for name, value in graph.initializers.items():
            if value.const_value is not None:
                found[name] = value.const_value
        for node in graph:
            tensor = constant_node_tensor(node) if is_constant_node(node) else None
            if tensor is not None:
                found[node.outputs[0].name or ""] = tensor
    return found


def _equal(one: ir.TensorProtocol, other: ir.TensorProtocol) -> bool:
    if one is other:
        return True
    if one.dtype != other.dtype or tuple(one.shape) != tuple(other.shape):
        return False
    return _content(one) == _content(other)


def _content(tensor: ir.TensorProtocol) -> tuple[object, ...]:
    """Something that is equal where type, shape and every bit are."""
    if tensor.dtype == ir.DataType.STRING:
        return (tensor.dtype, tuple(tensor.shape), tuple(tensor.numpy().reshape(-1).tolist()))
    return (tensor.dtype, tuple(tensor.shape), tensor.tobytes())


def _ref(node: ir.Node) -> NodeRef:
    name = node.name or next((output.name for output in node.outputs if output.name), "")
    return NodeRef(_operator(node), name or "?")


def _operator(node: ir.Node) -> str:
    return f"{node.domain}.{node.op_type}" if node.domain else node.op_type
