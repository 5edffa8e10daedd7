"""The rewrite engine: applies rules to every graph of a model until none applies.

Rules say what; everything else is here, once: the index by root operator, interior values used elsewhere,
graph outputs, names, types, provenance, counts of hits and refusals, scopes, bounds. The engine never
decides whether a rewrite is correct: that is the rule's part.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from graphopt.ir.changes import Changes, Finding
from graphopt.ir.graphs import Names, graphs, mapped_bodies, static_shape
from graphopt.ir.kernels import first_type, runs_as_function, takes_type
from graphopt.ir.ops import Operator, facts, has_schema
from graphopt.ir.pattern import Match, Op, makers, match_node, needed_makers
from graphopt.ir.shapes import infer_node, refine_shapes

PROVENANCE_KEY = "graphopt.from"
WANTED_OPSET_KEY = "graphopt.wanted-opset"
VISITS_PER_NODE = 50
READERS_LEFT = 3
"""Nodes of a pattern behind one that has a single reader left."""

Replacement = ir.Value | Sequence[ir.Value]


class Reject(Exception):
    """Raised by a rule that matched but must not apply; the text is the reason shown to users."""


@dataclasses.dataclass(frozen=True, slots=True)
class Rule:
    """A pattern and the function that builds its replacement.

    Attributes:
        name: The function's name with dashes.
        patterns: Alternatives; the first that fits and is not rejected is used.
        build: Called with a `Tape`, and the bindings it names; returns the value (or values, one for each
            output of the root) that replace the root's, or raises `Reject`.
        parameters: Names of the bindings that `build` asks for.
    """

    name: str
    patterns: tuple[Op, ...]
    build: Callable[..., Replacement]
    parameters: tuple[str, ...]

    @property
    def summary(self) -> str:
        """First line of the rule's docstring."""
        return (inspect.getdoc(self.build) or "").partition("\n")[0]


def rule(*patterns: Op) -> Callable[[Callable[..., Replacement]], Rule]:
    """Make a rule of a function: `@rule(op("Relu", op("Relu", var("x"))))`."""

    def wrap(build: Callable[..., Replacement]) -> Rule:
        names = tuple(inspect.signature(build).parameters)[1:]
        return Rule(build.__name__.replace("_", "-"), patterns, build, names)

    return wrap


class Tape:
    """Records the nodes and constants of one replacement.

    Attributes:
        model: The model being rewritten; rules only read it.
        root: The node that is being replaced.
        kind: What the change is counted as; the rule's name unless the rule says otherwise.
        consumed: Further nodes that the replacement stands for, last first.
        form: Operators that the idiom is written with; all of the replacement's unless the rule says so.
        finding: The idiom and its error, where one was recognised; told where the rule then refuses, too, if
            there is a remark.
        remark: Why the idiom is not written in its shortest form.
    """

    def __init__(self, model: ir.Model, root: ir.Node, names: Names, rule_name: str = "") -> None:
        self.model = model
        self.root = root
        self.nodes: list[ir.Node] = []
        self.constants: list[ir.Value] = []
        self.kind = ""
        self.consumed: Sequence[ir.Node] = ()
        self.form = ""
        self.finding: tuple[str, float | None] | None = None
        self.remark = ""
        self._names = names
        self.others: list[tuple[ir.Value, ir.Value]] = []
        self._rule_name = rule_name

    @property
    def opset(self) -> int:
        """Version of the standard operator set in force."""
        return self.model.opset_imports.get("", 1)

    def require_opset(self, version: int) -> None:
        """Refuse the match below a version of the standard operator set, and leave word that it is wanted.

        Raises:
            Reject: The model is at an older version; the pass `raise-opset` may then raise it.
        """
        if self.opset < version:
            want_opset(self.model, version, self.finding[0] if self.finding else self._rule_name)
            raise Reject(f"needs opset {version}, and the model is at {self.opset}")

    def replace(self, old: ir.Value, new: ir.Value) -> None:
        """Let a new value of this tape take the place of one that is not the root's, if the match is applied.

        All users of `old` but the nodes that then die must stand behind the root; the rule sees to that.
        """
        self.others.append((old, new))

    def op(
        self,
        op_type: str,
        inputs: Sequence[ir.Value | None],
        attributes: Mapping[str, Any] | None = None,
        *,
        domain: str = "",
    ) -> ir.Value:
        """A node with one output; attributes are Python values or `onnx_ir.Attr`."""
        return self.ops(op_type, inputs, attributes, outputs=1, domain=domain)[0]

    def ops(
        self,
        op_type: str,
        inputs: Sequence[ir.Value | None],
        attributes: Mapping[str, Any] | None = None,
        *,
        outputs: int,
        domain: str = "",
    ) -> tuple[ir.Value, ...]:
        """A node with several outputs."""
        converted = ir.convenience.convert_attributes(dict(attributes or {}))
        base = self.root.outputs[0].name or self.root.op_type
        made = [ir.Value(name=self._names.fresh(f"{base}/{op_type}")) for _ in range(outputs)]
        node = ir.Node(domain, op_type, inputs, converted, outputs=made, name=made[0].name)
        self.nodes.append(node)
        infer_node(self.model, node)
        return tuple(node.outputs)

    def const(
        self, array: np.ndarray[Any, Any] | np.generic | ir.TensorProtocol, name: str = "constant"
    ) -> ir.Value:
        """A constant of the graph; `name` is a hint."""
        fresh = self._names.fresh(name)
        if isinstance(array, (np.ndarray, np.generic)):
            shaped = np.ascontiguousarray(array).reshape(np.shape(array))
            tensor: ir.TensorProtocol = ir.Tensor(shaped, name=fresh)
        else:
            tensor = array
        value = ir.Value(
            name=fresh,
            type=ir.TensorType(tensor.dtype),
            shape=ir.Shape(tensor.shape.numpy()),
            const_value=tensor,
        )
        self.constants.append(value)
        return value

    def ints(self, elements: Sequence[int], name: str = "constant") -> ir.Value:
        """A constant vector of int64."""
        return self.const(np.array(elements, dtype=np.int64).reshape(-1), name)


def want_opset(model: ir.Model, version: int, by: str = "") -> None:
    """Leave word, in the model's `meta`, that a fusion needs a version of the standard operator set.

    Args:
        model: Its `meta` gets, under `WANTED_OPSET_KEY`, the names of those who wait for each version.
        version: The version needed.
        by: What the fusion is called in reports.
    """
    waiting = model.meta.setdefault(WANTED_OPSET_KEY, {}).setdefault(version, [])
    if by and by not in waiting:
        waiting.append(by)


def rewrite(model: ir.Model, rules: Sequence[Rule], changes: Changes, *, backwards: bool = False) -> None:
    """Apply `rules` everywhere in `model`, in place, until none applies, and count it in `changes`.

    Args:
        model: Changed in place.
        rules: For each node the first that fits is applied.
        changes: Gets the counts.
        backwards: Visit the last nodes first, so that larger matches come before what they contain.
    """
    _Engine(model, rules, changes).run(backwards)


class _Engine:
    def __init__(self, model: ir.Model, rules: Sequence[Rule], changes: Changes) -> None:
        self._model = model
        self._changes = changes
        self._names = Names(model)
        self._index: dict[Operator, list[tuple[Rule, Op, tuple[frozenset[str], ...]]]] = {}
        for each in rules:
            for pattern in each.patterns:
                for operator in pattern.operators:
                    entry = (each, pattern, needed_makers(pattern))
                    self._index.setdefault(operator, []).append(entry)
        self._functions = {id(function.graph) for function in model.functions.values()}
        self._mapped = mapped_bodies(model)
        self._queue: deque[ir.Node] = deque()
        self._queued: set[ir.Node] = set()
        self._refused: dict[tuple[str, ir.Node], str] = {}
        self._kept: dict[tuple[str, ir.Node], Finding] = {}
        self._found: dict[ir.Node, Finding] = {}
        self._among: dict[tuple[str, ir.Node], list[str]] = {}

    def run(self, backwards: bool) -> None:
        for graph in graphs(self._model):
            ordered = reversed(graph) if backwards else graph
            self._queue.extend(node for node in ordered if (node.domain, node.op_type) in self._index)
        self._queued.update(self._queue)
        budget = VISITS_PER_NODE * (len(self._queue) + 1)
        while self._queue and budget:
            budget -= 1
            node = self._queue.popleft()
            self._queued.discard(node)
            if node.graph is not None:
                self._visit(node)
        for key, reason in self._refused.items():
            if key[1].graph is not None:
                name = key[1].name or key[1].outputs[0].name
                self._changes.refuse(reason, name, self._among.get(key, ()))
        found = (finding for node, finding in self._found.items() if node.graph is not None)
        kept = (finding for (_, node), finding in self._kept.items() if node.graph is not None)
        self._changes.findings.extend((*found, *kept))

    def _push(self, node: ir.Node | None) -> None:
        if node is not None and (node.domain, node.op_type) in self._index and node not in self._queued:
            self._queue.append(node)
            self._queued.add(node)

    def _push_readers(self, node: ir.Node, steps: int) -> None:
        """Look again at who is left to read a node, as one may be the only one now, and at who reads that."""
        readers = list(dict.fromkeys(each for out in node.outputs for each in out.consumers()))
        for reader in readers:
            self._push(reader)
            if steps > 1 and len(readers) == 1:
                self._push_readers(reader, steps - 1)

    def _visit(self, root: ir.Node) -> None:
        made_by = makers(root)
        for each, pattern, needed in self._index.get((root.domain, root.op_type), ()):
            if any(map(made_by.isdisjoint, needed)):
                continue
            for match in match_node(pattern, root):
                self._refused.pop((each.name, root), None)
                self._kept.pop((each.name, root), None)
                if any(attribute.is_ref() for node in match.nodes for attribute in node.attributes.values()):
                    continue
                reason = self._apply(each, match)
                if reason is None:
                    return
                if reason:
                    self._refused[each.name, root] = f"{each.name}: {reason}"

    def _apply(self, each: Rule, match: Match) -> str | None:
        """Apply one match; None if it was done, else the reason why not ("" for one not worth telling)."""
        root = match.nodes[0]
        used_elsewhere = _used_elsewhere(match)
        if used_elsewhere is not None:
            self._remember(each, match, ())
            return f"the result of the {used_elsewhere} is also used elsewhere"
        tape = Tape(self._model, root, self._names, each.name)
        version = self._model.opset_imports.get("", 0)
        try:
            built = each.build(tape, *(match.bindings.get(name) for name in each.parameters))
            replacements = [built] if isinstance(built, ir.Value) else list(built)
            _check_interface(root, replacements, tape)
            _check_opset(tape, version)
            _check_types(match, tape, version)
            if id(root.graph) in self._mapped:
                _check_mapped(tape, version)
        except Reject as rejection:
            for node in tape.nodes:
                _detach(node)
            self._remember(each, match, tape.consumed)
            if tape.remark:
                nodes = [*reversed(tape.consumed), *reversed(match.nodes)]
                self._kept[each.name, root] = _finding(tape, root.outputs[0], nodes)
            return str(rejection)
        self._commit(match, tape, replacements)
        if self._changes.watched:
            self._follow((*match.nodes, *tape.consumed), tape.nodes)
        self._changes.add(tape.kind or each.name)
        self._tell(tape, replacements[0], (*match.nodes, *tape.consumed))
        return None

    def _tell(self, tape: Tape, value: ir.Value, replaced: Sequence[ir.Node]) -> None:
        """Keep the idiom found, in place of those that it took in: each counts once."""
        finding = _finding(tape, value, tape.nodes) if tape.finding is not None else None
        for node in replaced:
            if node in self._found and node.graph is None:
                taken_in = self._found.pop(node)
                finding = finding or taken_in
        if finding is not None and tape.nodes:
            core = next((node for node in tape.nodes if not facts(node).moves), tape.nodes[-1])
            self._found[core] = finding
        elif finding is not None:
            self._changes.findings.append(finding)

    def _commit(self, match: Match, tape: Tape, replacements: list[ir.Value]) -> None:
        root = match.nodes[0]
        graph = root.graph
        assert graph is not None
        origin = _provenance((*match.nodes, *tape.consumed))
        made = self._place_constants(graph, root, tape)
        for node in tape.nodes:
            node.metadata_props[PROVENANCE_KEY] = origin
        graph.insert_before(root, tape.nodes)
        made.update(output for node in tape.nodes for output in node.outputs)
        known_better = [
            new
            for old, new in zip(root.outputs, replacements, strict=False)
            if static_shape(old) is None and static_shape(new) is not None
        ]
        for old, new in zip(root.outputs, replacements, strict=False):
            _substitute(old, new, is_new=new in made)
            for consumer in new.consumers():
                self._push(consumer)
        for old, new in tape.others:
            _substitute(old, new, is_new=True)
        for node in (*tape.nodes, *refine_shapes(self._model, known_better)):
            self._push(node)
        for value in root.inputs:
            self._push(value.producer() if value is not None else None)
        replaced = [old.producer() for old, _ in tape.others]
        self._remove_dead([*match.nodes, *(node for node in replaced if node is not None)])

    def _remember(self, each: Rule, match: Match, consumed: Sequence[ir.Node]) -> None:
        """Note which nodes a refusal is about, where somebody watches."""
        if self._changes.watched:
            self._among[each.name, match.nodes[0]] = _names_of((*match.nodes, *consumed))

    def _follow(self, old: Sequence[ir.Node], new: Sequence[ir.Node]) -> None:
        """Watch what stands for something watched."""
        if not self._changes.watched.isdisjoint(_names_of(old)):
            self._changes.watched.update(_names_of(new))

    def _place_constants(self, graph: ir.Graph, root: ir.Node, tape: Tape) -> set[ir.Value]:
        made: set[ir.Value] = set()
        for value in tape.constants:
            if id(graph) in self._functions:  # functions hold no initializers
                assert value.const_value is not None
                tensor = ir.AttrTensor("value", value.const_value)
                node = ir.Node("", "Constant", (), [tensor], outputs=[value])
                graph.insert_before(root, node)
            else:
                graph.initializers.add(value)
            made.add(value)
        return made

    def _remove_dead(self, candidates: Sequence[ir.Node]) -> None:
        """Remove candidates nobody uses any more, and what they alone used; look again at what is left."""
        stack = list(reversed(candidates))
        while stack:
            node = stack.pop()
            if node.graph is None or any(out.uses() or out.is_graph_output() for out in node.outputs):
                self._push(node)
                self._push_readers(node, READERS_LEFT)
                continue
            producers = [value.producer() for value in node.inputs if value is not None]
            remove_node(node)
            stack.extend(producer for producer in producers if producer is not None)


def _finding(tape: Tape, value: ir.Value, nodes: Sequence[ir.Node]) -> Finding:
    """The idiom that a tape names, computed as `value` by `nodes`."""
    idiom, error = tape.finding or ("", None)
    form = tape.form or " ".join(node.op_type for node in nodes)
    return Finding(idiom, value.name or "", form, error, tape.remark)


def _names_of(nodes: Sequence[ir.Node]) -> list[str]:
    """Names of nodes, of their outputs, and of the original nodes that they stand for."""
    names: list[str] = []
    for node in nodes:
        named = (node.name, *(output.name for output in node.outputs))
        names += [name for name in named if name]
        names += node.metadata_props.get(PROVENANCE_KEY, "").split(", ")
    return [name for name in names if name]


def remove_node(node: ir.Node) -> None:
    """Take a node that nobody uses out of its graph."""
    graph = node.graph
    assert graph is not None
    _detach(node)
    graph.remove(node)


def replace_value(old: ir.Value, new: ir.Value, *, is_new: bool = False) -> None:
    """Let every user of `old`, graph outputs included, use `new`; an output keeps its name.

    Args:
        old: A node's output.
        new: A value available wherever `old` is.
        is_new: `new` was just made for this, so that it may take over the name of `old`.

    Raises:
        Reject: `old` is a graph output and `new` already is part of an interface.
    """
    if not is_new:
        _check_free(old, new)
    _substitute(old, new, is_new=is_new)


def _substitute(old: ir.Value, new: ir.Value, *, is_new: bool) -> None:
    if old is new:
        return
    is_output = old.is_graph_output()
    if new.shape is None:
        new.shape = old.shape
    if new.type is None:
        new.type = old.type
    if is_new or is_output:
        name = old.name
        node = old.producer()
        # A node of several outputs may stay for the others, and some (Split, If) need every one of them.
        old.name = f"{name}/replaced" if node is not None and len(node.outputs) > 1 else None
        new.name = name
        if new.const_value is not None and new.is_initializer():
            new.const_value.name = name
    old.replace_all_uses_with(new, replace_graph_outputs=True)


_EVERYWHERE = (None, ir.DataType.FLOAT, ir.DataType.FLOAT16)
"""Types that every kernel takes (half floats by casts that onnxruntime adds), or that are not known."""


def _check_opset(tape: Tape, version: int) -> None:
    """Hold new nodes to the operators that the opset has; what is worth a newer one is for rules to say."""
    for node in tape.nodes:
        if not node.domain and not has_schema("", node.op_type, version):
            raise Reject(f"there is no {node.op_type} at opset {version}")


def _check_types(match: Match, tape: Tape, version: int) -> None:
    """Hold new nodes of rare types to the kernels that there are, where the old ones run."""
    if all(value is None or value.dtype in _EVERYWHERE for node in match.nodes for value in node.inputs):
        return
    for node in tape.nodes:
        dtype = first_type(node.inputs)
        if node.domain or dtype in _EVERYWHERE or takes_type(node.op_type, version, dtype):
            continue
        if all(_runs(old, version) for old in match.nodes):
            raise Reject(f"onnxruntime has no {node.op_type} of {dtype} at opset {version}")


def _runs(node: ir.Node, version: int) -> bool:
    dtype = first_type(node.inputs)
    return bool(node.domain) or dtype in _EVERYWHERE or takes_type(node.op_type, version, dtype)


def _check_mapped(tape: Tape, version: int) -> None:
    """Keep what onnxruntime runs as a function out of the body of a SequenceMap, which is one itself."""
    for node in tape.nodes:
        if not node.domain and runs_as_function(node.op_type, version, node.inputs):
            kind = f"{node.op_type} of {first_type(node.inputs)}"
            raise Reject(f"onnxruntime runs no {kind} in a SequenceMap at opset {version}")


def _check_interface(root: ir.Node, replacements: Sequence[ir.Value], tape: Tape) -> None:
    made = {output for node in tape.nodes for output in node.outputs} | set(tape.constants)
    for old, new in zip(root.outputs, replacements, strict=False):
        if new not in made:
            _check_free(old, new)
    for old in root.outputs[len(replacements) :]:
        if old.uses() or old.is_graph_output():
            raise Reject("a further output is in use")


def _check_free(old: ir.Value, new: ir.Value) -> None:
    if not old.is_graph_output():
        return
    if new.producer() is None or new.is_graph_output() or new.graph is not old.graph:
        raise Reject("both ends belong to the graph's interface")


def _used_elsewhere(match: Match) -> str | None:
    inside = set(match.nodes)
    for node in match.nodes[1:]:
        if id(node) in match.shared:
            continue
        for output in node.outputs:
            if output.is_graph_output() or any(use.node not in inside for use in output.uses()):
                return node.op_type
    return None


def _detach(node: ir.Node) -> None:
    for index, value in enumerate(node.inputs):
        if value is not None:
            node.replace_input_with(index, None)


def _provenance(matched: Sequence[ir.Node]) -> str:
    """Names of the original nodes that a rewrite consumed, those of earlier rewrites expanded."""
    names: dict[str, None] = {}
    for node in reversed(matched):
        text = node.metadata_props.get(PROVENANCE_KEY) or node.name or ""
        names.update(dict.fromkeys(part for part in text.split(", ") if part))
    return ", ".join(names)
