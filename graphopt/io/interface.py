"""The interface of a model: names, types and declared shapes of its inputs and outputs, kept while it
changes; and what the bodies of Loops declare, which tells a runtime the shape of results of no iteration.

Declared shapes are claims. They are put back as they were written, except where a real run showed them false.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Container, Iterator, Mapping, Sequence

import onnx_ir as ir

from graphopt.io.serialize import ANALYSIS_KEYS
from graphopt.ir import nodes, subgraphs

RealShapes = Mapping[str, Sequence[tuple[int, ...]]]


@dataclasses.dataclass(frozen=True)
class Port:
    """One input or output as it is declared.

    Attributes:
        name: Its name.
        type: Its type; None where none is declared.
        shape: Its declared shape; None where none is declared.
        doc_string: Its documentation.
        metadata: Its metadata.
        has_default: For an input: an initializer stands behind it, used where no value is given.
    """

    name: str
    type: ir.TypeProtocol | None
    shape: ir.Shape | None
    doc_string: str | None
    metadata: Mapping[str, str]
    has_default: bool = False

    @classmethod
    def of(cls, value: ir.Value) -> Port:
        """The port that `value` is now; later changes of the value do not reach it."""
        return cls(
            name=value.name or "",
            type=copy.deepcopy(value.type),
            shape=None if value.shape is None else value.shape.copy(frozen=True),
            doc_string=value.doc_string,
            metadata={key: text for key, text in value.metadata_props.items() if ANALYSIS_KEYS not in key},
            has_default=value.is_graph_input() and value.is_initializer(),
        )

    def describe(self) -> str:
        """The type and shape in words, as in `FLOAT[N,3]`."""
        kind = "untyped" if self.type is None else str(self.type)
        return kind if self.shape is None else f"{kind}{_shape_text(self.shape)}"


@dataclasses.dataclass(frozen=True)
class Interface:
    """Inputs and outputs of a model, in order.

    Attributes:
        inputs: One port each.
        outputs: One port each.
        body_outputs: Name -> declared shape of the outputs of bodies of Loop and Scan.
    """

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    body_outputs: Mapping[str, ir.Shape] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(cls, model: ir.Model) -> Interface:
        """The interface that `model` has now."""
        declared = {
            value.name or "": value.shape.copy(frozen=True)
            for value in _body_outputs(model)
            if value.shape is not None
        }
        return cls(
            tuple(map(Port.of, model.graph.inputs)), tuple(map(Port.of, model.graph.outputs)), declared
        )

    def differences(self, model: ir.Model) -> list[str]:
        """What is different in the interface of `model`, a line each; empty if nothing is."""
        now = Interface.of(model)
        return [
            *_differences("input", self.inputs, now.inputs),
            *_differences("output", self.outputs, now.outputs),
        ]

    def retyped(self, model: ir.Model) -> list[str]:
        """Which inputs and outputs of `model` are of another element type, a line each."""
        now = {
            port.name: port
            for port in (*map(Port.of, model.graph.inputs), *map(Port.of, model.graph.outputs))
        }
        return [
            f"{old.name!r} was {old.type} and is {new.type}"
            for old in (*self.inputs, *self.outputs)
            if (new := now.get(old.name)) is not None
            and None not in (old.type, new.type)
            and old.type != new.type
        ]


def restore(model: ir.Model, interface: Interface, real_shapes: RealShapes | None = None) -> list[str]:
    """Put types, shapes, documentation and metadata of inputs and outputs back as `interface` has them.

    The outputs of bodies get the shapes that were declared under their names.

    Args:
        model: Changed in place; its inputs and outputs must have the names of `interface`. Inputs with a
            default may be gone.
        interface: Taken before the model was analysed and changed.
        real_shapes: For names of outputs the shapes seen in real runs. A declared shape that one of them
            contradicts is replaced: by the shape that analysis found, if they agree with it, else by their
            number of dimensions alone.

    Returns:
        A line for each declared shape that was false.
    """
    for value in _body_outputs(model):
        declared = interface.body_outputs.get(value.name or "")
        value.shape = None if declared is None else declared.copy()
    corrections = []
    seen = real_shapes or {}
    names = {str(dim) for port in interface.inputs for dim in port.shape or ()}
    present = {value.name for value in model.graph.inputs}
    inputs = [port for port in interface.inputs if port.name in present or not port.has_default]
    ports = [*inputs, *interface.outputs]
    for port, value in zip(ports, [*model.graph.inputs, *model.graph.outputs], strict=True):
        inferred = value.shape
        value.type = copy.deepcopy(port.type)
        value.shape = None if port.shape is None else port.shape.copy()
        value.doc_string = port.doc_string
        value.metadata_props.clear()
        value.metadata_props.update(port.metadata)
        shapes = seen.get(port.name, ())
        if value.is_graph_input() or all(_fits(port.shape, shape) for shape in shapes):
            continue
        value.shape = _true_shape(inferred, shapes, names)
        corrections.append(
            f"the output {port.name!r} was declared {_shape_text(port.shape)}, but a run gave "
            f"{list(shapes[-1])}; it is declared {_shape_text(value.shape)} now"
        )
    return corrections


def _body_outputs(model: ir.Model) -> Iterator[ir.Value]:
    for node in nodes(model):
        if node.op_type in ("Loop", "Scan") and not node.domain:
            for body in subgraphs(node):
                yield from body.outputs


def _true_shape(
    inferred: ir.Shape | None, shapes: Sequence[tuple[int, ...]], names: Container[str | None]
) -> ir.Shape | None:
    """What analysis found, without names and expressions of its own making."""
    if inferred is not None and all(_fits(inferred, shape) for shape in shapes):
        return ir.Shape([dim if isinstance(dim, int) or dim.value in names else None for dim in inferred])
    ranks = {len(shape) for shape in shapes}
    return ir.Shape([None] * ranks.pop()) if len(ranks) == 1 else None


def _fits(declared: ir.Shape | None, shape: tuple[int, ...]) -> bool:
    """Whether a real shape is one that the declaration allows; named dimensions allow any size."""
    if declared is None:
        return True
    if len(declared) != len(shape):
        return False
    return all(not isinstance(dim, int) or dim == size for dim, size in zip(declared, shape, strict=True))


def _differences(kind: str, before: Sequence[Port], now: Sequence[Port]) -> list[str]:
    names = [port.name for port in before], [port.name for port in now]
    if names[0] != names[1]:
        return [f"the {kind}s were {names[0]} and are {names[1]}"]
    lines = []
    for old, new in zip(before, now, strict=True):
        if old.describe() != new.describe():
            lines.append(f"the {kind} {old.name!r} was {old.describe()} and is {new.describe()}")
        if old.has_default != new.has_default:
            lines.append(f"the {kind} {old.name!r} {'lost its' if old.has_default else 'gained a'} default")
    return lines


def _shape_text(shape: ir.Shape | None) -> str:
    if shape is None:
        return "of no shape"
    dims = [dim if isinstance(dim, int) else dim.value or "?" for dim in shape]
    return f"[{','.join(map(str, dims))}]"
