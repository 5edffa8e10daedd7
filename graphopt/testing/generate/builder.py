"""Grow a graph node by node, each run as soon as it is made and dropped if it cannot run.

What an operator takes as an attribute in one opset and as an input in another is placed by its schema, so
that recipes need not know opsets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import onnx
import onnx.defs
import onnx_ir as ir
from onnx import helper

from graphopt.errors import ExecutionError
from graphopt.ir.ops import FIRST_OPSET_COUNTING_BACK
from graphopt.testing.generate import arrays
from graphopt.testing.generate.choices import Choices
from graphopt.testing.generate.guards import draws, refusal
from graphopt.testing.generate.known import Array, Content, Known, element_name
from graphopt.testing.generate.naming import Naming
from graphopt.testing.generate.protos import tensor
from graphopt.testing.generate.recipe import Unfit
from graphopt.testing.generate.run_node import run_node
from graphopt.testing.generate.spec import Spec

MAX_ELEMENTS = 20_000
MAX_RANK = 6
MAX_MAGNITUDE = 1e4
"""Values that grow beyond are not built upon: rounding would drown what is to be seen."""

SIZES = (2, 3, 1, 4, 5, 6)
_SIZE_WEIGHTS = (5, 5, 4, 3, 1, 1)

Test = Callable[[Known], bool]


class Builder:
    """A graph under construction; graphs inside others see what is around them.

    Args:
        choices: The only source of chance.
        spec: Bounds.
        opset: Version of the standard domain.
        ir_version: Version of the file format.
        specials: Let in NaN, infinities, denormals and operators that jump.
        reference: Let in operators that only the ONNX reference evaluator runs.
        overridable: Let in initializers that are graph inputs as well.
        naming: How values and nodes are called.
        outer: The graph around, of a body, which then settles all of these but `choices` and `spec`.

    Attributes:
        nodes: In a valid order.
        initializers: Constants that are no nodes, and the overridable ones.
        inputs: Graph inputs that have no default.
        values: What nodes may read of this graph, constants not counted.
        constants: Every constant of this graph.
        by_reference: The reference evaluator ran a node.
        forced: Tensors that the next recipe has to read, in this order, before it may choose for itself.
    """

    def __init__(
        self,
        choices: Choices,
        spec: Spec,
        *,
        opset: int,
        ir_version: int,
        specials: bool = False,
        reference: bool = False,
        overridable: bool = False,
        naming: Naming | None = None,
        outer: Builder | None = None,
    ) -> None:
        self.choices = choices
        self.spec = spec
        self.opset = opset
        self.ir_version = ir_version
        self.specials: bool = outer.specials if outer else specials
        self.reference: bool = outer.reference if outer else reference
        self.overridable = overridable
        self.outer = outer
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[Known] = []
        self.inputs: list[Known] = []
        self.values: list[Known] = []
        self.constants: list[Known] = []
        self.by_reference = False
        self.forced: list[Known] = []
        self._naming: Naming = outer._naming if outer else naming or Naming()

    @property
    def made(self) -> int:
        """Number of nodes, Constant not counted."""
        return sum(node.op_type != "Constant" for node in self.nodes)

    def name(self, prefix: str) -> str:
        """A name that nothing else in the model has."""
        return self._naming.name(prefix)

    # What there is.

    def visible(self) -> Iterable[Known]:
        """Every value that a node may read, constants not counted; of graphs around first."""
        if self.outer is not None:
            yield from self.outer.visible()
        yield from self.values

    def dtype(self, kinds: str = "fibus") -> ir.DataType:
        """An element type that the bounds allow, the first of them more often.

        Args:
            kinds: f float, i signed integer, u unsigned, b Boolean, s string.
        """
        fit = [each for each in self.spec.data_types() if kind_of(each) in kinds]
        if not fit:
            raise Unfit(f"no element type of the kinds {kinds}")
        return self.choices.weighted(fit, [max(1, 12 >> place) for place in range(len(fit))])

    def shape(self, rank: int | None = None) -> list[int]:
        """Small sizes."""
        if rank is None:
            rank = self.choices.weighted((2, 1, 3, 4, 0, 5), (5, 4, 4, 5, 2, 1))
        sizes = [self.choices.weighted(SIZES, _SIZE_WEIGHTS) for _ in range(rank)]
        if sizes and self.choices.chance(0.02):
            sizes[self.choices.integer(0, len(sizes) - 1)] = 0
        return sizes

    def pick(self, kinds: str = "f", rank: int | None = None, where: Test | None = None) -> Known:
        """A tensor of those kinds (see `dtype`) and rank, late ones more often; a new one if there is none.

        Raises:
            Unfit: None fulfils `where`, or the one that is forced does not.
        """

        def fits(value: Known) -> bool:
            if not value.is_tensor or kind_of(value.dtype) not in kinds or rank not in (None, value.rank):
                return False
            return where is None or where(value)

        if self.forced:
            if not fits(self.forced[0]):
                raise Unfit("the operand asked for does not fit")
            return self.forced.pop(0)
        fit = [value for value in self.visible() if fits(value)]
        if fit and not self.choices.chance(0.08):
            last = len(fit) - 1
            return fit[last - min(self.choices.integer(0, last), self.choices.integer(0, last))]
        new = self.new(self.dtype(kinds), self.shape(rank))
        if where is not None and not where(new):
            raise Unfit("a new value does not fit")
        return new

    def new(self, dtype: ir.DataType, shape: Sequence[int]) -> Known:
        """A new value: a graph input, or a constant in a body and now and then elsewhere."""
        made = arrays.random_array(self.choices.numbers(), dtype, shape)
        if self.outer is not None or self.choices.chance(0.3):
            return self.constant(made)
        return self.input(made)

    def input(self, content: Content, optional_of: ir.DataType | None = None) -> Known:
        """A new graph input.

        Args:
            content: A tensor or a sequence of tensors; of an optional what it holds.
            optional_of: The element type, of an optional.
        """
        type_text = f"optional(tensor({element_name(optional_of)}))" if optional_of is not None else ""
        known = Known(self.name("x"), content, type_text=type_text)
        self.inputs.append(known)
        self.values.append(known)
        return known

    def counts_back(self, probability: float) -> bool:
        """Whether to count axes from the end, with that probability where the opset has it so."""
        return self.opset >= FIRST_OPSET_COUNTING_BACK and self.choices.chance(probability)

    # Constants.

    def constant(self, array: Array, *, fresh: bool = False) -> Known:
        """An initializer, a Constant node, or a constant alike that is there, unless it must be fresh."""
        array = np.asarray(array)  # numpy makes scalars of what has no dimensions
        if not fresh and self.choices.chance(0.2):
            for known in self.constants:
                if _alike(known.array, array):
                    return known
        as_node = self.choices.chance(0.2) and self._in_constant_node(array)
        fixed = as_node or not self.overridable or not self.choices.chance(0.3)
        known = Known(self.name("c"), array, constant=fixed)
        if as_node:
            node = helper.make_node("Constant", [], [known.name], value=tensor(known))
            self.nodes.append(node)
        else:
            self.initializers.append(known)
        self.constants.append(known)
        return known

    def state(self, array: Array) -> Known:
        """An initializer that nothing else reads: a runtime may write over it."""
        known = Known(self.name("c"), np.asarray(array), constant=True)
        self.initializers.append(known)
        return known

    def _in_constant_node(self, array: Array) -> bool:
        """Whether a Constant of this opset may hold elements of that type."""
        schema = onnx.defs.get_schema("Constant", self.opset, "")
        return Known("", array).type_name in schema.outputs[0].types

    def floats(
        self, shape: Sequence[int], dtype: ir.DataType = ir.DataType.FLOAT, *, positive: bool = False
    ) -> Known:
        """A constant of floats, or of whatever type is asked for; positive ones are 0.5 or more."""
        if self.forced and self.forced[0].shape == tuple(shape) and self.forced[0].dtype == dtype:
            return self.forced.pop(0)
        if positive:
            numbers = self.choices.numbers().normal(0.0, 1.0, tuple(shape))
            return self.constant(np.asarray(np.abs(numbers) + 0.5).astype(dtype.numpy()))
        return self.constant(arrays.array(self.choices, dtype, shape, specials=self.specials))

    def ints(self, elements: Sequence[int] | int, dtype: ir.DataType = ir.DataType.INT64) -> Known:
        """A constant of these integers; now and then a graph input of that content."""
        made = np.array(elements, dtype.numpy())
        if self.outer is None and self.choices.chance(0.05):
            return self.input(made)
        return self.constant(made)

    def broadcastable(self, shape: Sequence[int]) -> list[int]:
        """A shape that broadcasts with `shape`, now and then to a larger one."""
        made = [1 if self.choices.chance(0.4) else size for size in shape]
        if 1 in shape and self.choices.chance(0.15):
            made[list(shape).index(1)] = 2
        if self.choices.chance(0.4):
            made = made[self.choices.integer(0, len(made)) :]
        return [1, *made] if self.choices.chance(0.1) else made

    def operand(self, like: Known, *, positive: bool = False) -> Known:
        """Something to put beside `like` in an elementwise operator: a constant, or another value."""
        if self.forced and self.forced[0].dtype == like.dtype and _fits(self.forced[0], like):
            return self.forced.pop(0)
        if self.choices.chance(0.3):
            return self.pick(kind_of(like.dtype), where=lambda v: v.dtype == like.dtype and _fits(v, like))
        shape = self.broadcastable(like.shape)
        if self.specials and like.dtype.is_integer() and self.choices.chance(0.15):
            return self.constant(arrays.extremes(self.choices, like.dtype, shape))
        return self.floats(shape, like.dtype, positive=positive)

    # Nodes.

    def schema(self, op_type: str) -> onnx.defs.OpSchema:
        """The operator as the opset defines it.

        Raises:
            Unfit: The opset does not have it, or the bounds leave it out.
        """
        if not self.spec.allows(op_type):
            raise Unfit(f"{op_type} is not asked for")
        try:
            schema = onnx.defs.get_schema(op_type, self.opset, "")
        except onnx.defs.SchemaError as error:
            raise Unfit(str(error)) from error
        if schema.deprecated:
            raise Unfit(f"{op_type} is deprecated")
        return schema

    def op(
        self,
        op_type: str,
        *operands: Known | None,
        outputs: int = 1,
        captured: Sequence[Known] = (),
        **more: Any,
    ) -> Known:
        """Add a node and return its first output.

        Args:
            op_type: An operator of the standard domain.
            operands: Its inputs; None for those left out.
            outputs: How many outputs it has.
            captured: What its bodies read of this graph.
            more: Attributes by name; those that are inputs in this opset become constants. None is left out.

        Raises:
            ExecutionError: It cannot run on these operands.
            Unfit: The opset has no such operator, or not with this attribute.
        """
        schema = self.schema(op_type)
        inputs: list[Known | None] = list(operands)
        attributes = {}
        for name, value in more.items():
            if value is None:
                continue
            if name in schema.attributes:
                attributes[name] = value
            else:
                self._as_input(schema, inputs, name, value)
        while inputs and inputs[-1] is None:
            inputs.pop()
        return self.node(op_type, inputs, attributes, outputs=outputs, captured=captured)[0]

    def node(
        self,
        op_type: str,
        inputs: Sequence[Known | None],
        attributes: dict[str, Any],
        *,
        outputs: int = 1,
        captured: Sequence[Known] = (),
    ) -> list[Known]:
        """Add a node with exactly these inputs and attributes and return its outputs; see `op`."""
        read = [each for each in (*inputs, *captured) if each is not None]
        if refused := refusal(op_type, attributes, inputs):
            raise Unfit(refused)
        names = [self.name("v") for _ in range(outputs)]
        written = ["" if each is None else each.name for each in inputs]
        node = helper.make_node(op_type, written, names, name=self.name("n"))
        for name, value in attributes.items():
            ready = isinstance(value, onnx.AttributeProto)
            node.attribute.append(value if ready else self._attribute(op_type, name, value))
        drawn = draws(node)
        outcome = run_node(
            node, read, opset=self.opset, ir_version=self.ir_version, reference=self.reference,
            steady=not self.specials and not drawn,
        )  # fmt: skip
        for content in outcome.contents.values():
            self._check(content)
        random = drawn or any(each.random for each in read)
        made = [_made(name, outcome.contents[name], outcome.types[name], random) for name in names]
        self.by_reference |= outcome.by_reference
        self.nodes.append(node)
        self.values.extend(made)
        return made

    def _attribute(self, op_type: str, name: str, value: Any) -> onnx.AttributeProto:
        if not isinstance(value, Sequence) or len(value):
            return helper.make_attribute(name, value)
        kind: Any = self.schema(op_type).attributes[name].type  # an empty list does not say of what
        return helper.make_attribute(name, value, attr_type=kind.value)

    def _as_input(
        self, schema: onnx.defs.OpSchema, inputs: list[Known | None], name: str, value: Any
    ) -> None:
        places = [place for place, formal in enumerate(schema.inputs) if formal.name == name]
        if not places:
            raise Unfit(f"{schema.name} has no {name} at opset {self.opset}")
        inputs.extend([None] * (places[0] + 1 - len(inputs)))
        inputs[places[0]] = value if isinstance(value, Known) else self.ints(value)

    def _check(self, content: Content) -> None:
        for array in content if isinstance(content, list) else [] if content is None else [content]:
            if array.size > MAX_ELEMENTS or array.ndim > MAX_RANK:
                raise Unfit("too large")
            if not self.specials and is_float(array):
                with np.errstate(over="ignore"):
                    if not np.all(np.abs(array.astype(np.float64)) <= MAX_MAGNITUDE):
                        raise Unfit("too large numbers")


def kind_of(dtype: ir.DataType) -> str:
    """f float, i signed integer, u unsigned, b Boolean, s string, c complex."""
    if dtype == ir.DataType.STRING:
        return "s"
    if dtype == ir.DataType.BOOL:
        return "b"
    if dtype.is_integer():
        return "i" if dtype.is_signed() else "u"
    return "f" if dtype.is_floating_point() else "c"


def is_float(array: Array) -> bool:
    """Whether the elements are floats, those of ml_dtypes counted."""
    return array.dtype.kind != "O" and kind_of(ir.DataType.from_numpy(array.dtype)) == "f"


def _made(name: str, content: Content, type_text: str, random: bool) -> Known:
    """What a node computed; its content tells its type, except where it holds nothing or is an optional."""
    told = bool(content) if isinstance(content, list) else content is not None
    if told and not type_text.startswith("optional("):
        found = Known(name, content, random=random)
        if found.type_name != type_text:
            raise ExecutionError(f"{found.type_name} instead of {type_text}")
        return found
    return Known(name, content, random=random, type_text=type_text)


def _alike(known: Array, array: Array) -> bool:
    if known.shape != array.shape or known.dtype != array.dtype:
        return False
    return is_float(array) or bool(np.array_equal(known, array))


def _fits(value: Known, like: Known) -> bool:
    try:
        np.broadcast_shapes(value.shape, like.shape)
    except ValueError:
        return False
    return True


__all__ = ["Builder", "ExecutionError", "kind_of"]
