"""Tell which activation a region computes: what fuse-activation asks of each region that it comes across.

Regions are known by their signature, so that one function is evaluated once, however often it stands in a
model. Nothing is rewritten here.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Hashable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphopt.idioms import (
    ELEMENTWISE,
    KINKS,
    CannotEvaluateError,
    Found,
    NearMiss,
    Region,
    evaluate,
    recognize,
)
from graphopt.ir import constant_tensor

MOST_ELEMENTS = 4096
"""Constants with more elements than this are not looked through for being one value repeated."""
LONGEST_CHAIN = 7
"""Nodes of the longest spelling without branches."""
MOST_ALIKE = {
    "Add": 5,
    "Cast": 4,
    "Div": 3,
    "Mul": 6,
    "Erf": 1,
    "Log": 1,
    "Sigmoid": 1,
    "Softplus": 1,
    "Tanh": 1,
}
"""Operator -> how often it stands in one spelling at most."""
MOST_OF_OTHERS = 3
RAMPS = frozenset({"Clip", "HardSigmoid", "LeakyRelu", "Max", "Min", "PRelu", "Relu"})
POWERS = frozenset({"Elu", "Erf", "Exp", "Log", "Sigmoid", "Softplus", "Tanh"})
BARE = ("Clip", "LeakyRelu", "Max", "Min", "PRelu", "Where")
"""Operators that alone may spell another one: Max(x, 0)."""
AFFINE = frozenset({"Add", "Div", "Mul", "Neg", "Sub"})
BOUNDING = frozenset({"Clip", "Max", "Min", "Where"})
"""Operators that may spell a bound, which a channel may have of its own."""
UNTOLD = frozenset({"", "Abs", "Erf", "LeakyRelu", "Relu", "Sigmoid", "Tanh"})
"""What an affine of each channel before or behind it makes nothing else of: it is no near miss."""
MOST_UNEVEN = 200
"""Regions with several numbers in a constant that are looked at, in a model."""
MOST_UNEVEN_NODES = 12
"""Nodes of such a region."""
BITS = {ir.DataType.FLOAT: 32, ir.DataType.FLOAT16: 16, ir.DataType.DOUBLE: 64, ir.DataType.BFLOAT16: 16}


class _Step(NamedTuple):
    """A node of a region as far as it matters to what the region computes.

    Attributes:
        operator: Its name.
        attributes: As text.
        operands: Numbers of constants as float; as text the place of an earlier step, "x" for the entry, ""
            for an absent operand.
    """

    operator: str
    attributes: str
    operands: tuple[float | str, ...]


class Reader:
    """Recognises activations; remembers what it saw.

    Args:
        seen: What is known of regions by their signature; added to.
    """

    def __init__(self, seen: dict[Hashable, Found | NearMiss | None]) -> None:
        self._seen = seen
        self._numbers: dict[ir.Value, float | None] = {}
        self._asked_uneven = 0

    def recognize(self, region: Region) -> Found | NearMiss | None:
        """The activation that a region computes, or nearly computes."""
        operators = frozenset(node.op_type for node in region.nodes)
        if operators.isdisjoint(KINKS if len(region.nodes) > 1 else BARE) or _is_idle_chain(region):
            return None
        dtype = region.entry.dtype
        if dtype not in BITS or region.end.dtype != dtype or _loses_bits(region, dtype):
            return None
        try:
            steps = tuple(self._signature(region))
        except CannotEvaluateError:
            return None
        key = (dtype, steps)
        if key not in self._seen:
            constants = [each for step in steps for each in step.operands if isinstance(each, float)]
            function = functools.partial(self._run, region)
            try:
                self._seen[key] = recognize(operators, function, constants, dtype.numpy().name)
            except CannotEvaluateError:
                self._seen[key] = None
        return self._seen[key]

    def uneven(self, region: Region) -> str:
        """What a region would be if its constants were all one number each, as text; "" for nothing told."""
        if self._asked_uneven >= MOST_UNEVEN or len(region.nodes) > MOST_UNEVEN_NODES:
            return ""
        kinked = [node for node in region.nodes if node.op_type not in AFFINE]
        made = {region.entry, *(node.outputs[0] for node in region.nodes)}
        firsts: dict[ir.Value, float] = {}
        bounds = True
        for node in region.nodes:
            for value in node.inputs:
                if value is None or value in made:
                    continue
                if value not in self._numbers:
                    self._numbers[value] = uniform(value)
                if self._numbers[value] is not None:
                    continue
                first = _first(value)
                if first is None:
                    return ""
                firsts[value] = first
                bounds &= node.op_type in BOUNDING
        gated = sum(region.entry in node.inputs for node in region.nodes) > 1
        bounded = any(node.op_type in BOUNDING for node in kinked)
        if not firsts or not (gated or bounded or len(kinked) > 1):
            return ""
        self._asked_uneven += 1
        self._numbers.update(firsts)
        try:
            found = self.recognize(region)
        finally:
            self._numbers.update(dict.fromkeys(firsts))
        name = found.idiom.name if isinstance(found, Found) else ""
        if name in UNTOLD or (name == "Clip" and not bounds):
            return ""
        return f"nearly {name}, but the constant '{next(iter(firsts)).name}' holds several numbers"

    def _signature(self, region: Region) -> Iterator[_Step]:
        """What the region computes, as text and numbers: regions of one signature are the same function.

        Raises:
            CannotEvaluateError: A constant has several values.
        """
        places: dict[ir.Value, str] = {region.entry: "x"}
        for place, node in enumerate(region.nodes):
            operands = tuple(
                "" if value is None else places[value] if value in places else self._number(value)
                for value in node.inputs
            )
            attributes = "".join(str(attribute) for attribute in node.attributes.values())
            yield _Step(node.op_type, attributes, operands)
            places[node.outputs[0]] = str(place)

    def _run(self, region: Region, probes: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        values = evaluate(region.nodes, {region.entry: probes}, lambda value: np.array(self._number(value)))
        return values[region.end]

    def _number(self, value: ir.Value) -> float:
        """The one number that a constant holds, once or many times."""
        if value not in self._numbers:
            self._numbers[value] = uniform(value)
        number = self._numbers[value]
        if number is None:
            raise CannotEvaluateError("a constant has several values")
        return number


def _is_elementwise(node: ir.Node) -> bool:
    return (
        node.op_type in ELEMENTWISE
        and not node.domain
        and len(node.outputs) == 1
        and not any(attribute.is_ref() for attribute in node.attributes.values())
    )


def may_end_a_region(node: ir.Node) -> bool:
    """Whether a node alone may spell another, or has an elementwise one before it."""
    if node.op_type in BARE:
        return True
    producers = (value.producer() for value in node.inputs if value is not None)
    return any(each is not None and each.op_type in ELEMENTWISE for each in producers)


def uniform(value: ir.Value) -> float | None:
    """The one number that a constant holds, once or many times; None where it holds several."""
    tensor = constant_tensor(value)
    if tensor is None or not 0 < tensor.size <= MOST_ELEMENTS or tensor.dtype == ir.DataType.STRING:
        return None
    elements = tensor.numpy().reshape(-1)
    return float(elements[0]) if tensor.size == 1 or bool((elements == elements[0]).all()) else None


def _first(value: ir.Value) -> float | None:
    """The first number of a constant of several."""
    tensor = constant_tensor(value)
    if tensor is None or not 1 < tensor.size <= MOST_ELEMENTS or not tensor.dtype.is_floating_point():
        return None
    return float(tensor.numpy().reshape(-1)[0])


def _loses_bits(region: Region, dtype: ir.DataType) -> bool:
    """Whether the region computes in a type less precise than its entry's, or in integers."""
    for node in region.nodes:
        if node.op_type == "Cast":
            to = ir.DataType(node.attributes["to"].as_int())
            if to not in (dtype, ir.DataType.BOOL) and BITS.get(to, 0) <= BITS[dtype]:
                return True
    return False


class Budget:
    """How often operators may stand in one region: no spelling of an activation has more of them.

    Keeps the search short in long runs of elementwise operators.
    """

    def __init__(self, end: ir.Node) -> None:
        self._left = Counter({end.op_type: MOST_ALIKE.get(end.op_type, MOST_OF_OTHERS) - 1})

    def takes(self, node: ir.Node) -> bool:
        """Whether a node may stand inside; counts it."""
        if not _is_elementwise(node):
            return False
        left = self._left.setdefault(node.op_type, MOST_ALIKE.get(node.op_type, MOST_OF_OTHERS))
        self._left[node.op_type] = left - 1
        return left > 0


def _is_idle_chain(region: Region) -> bool:
    """Whether nodes follow each other without branches, and spell nothing: too many of them, a single Relu
    between affines, or bends beside exponentials."""
    if any(
        sum(value is not None and constant_tensor(value) is None for value in node.inputs) != 1
        for node in region.nodes
    ):
        return False
    bends = [node.op_type for node in region.nodes if node.op_type in RAMPS]
    powers = any(node.op_type in POWERS for node in region.nodes)
    return len(region.nodes) > LONGEST_CHAIN or (bool(bends) and powers) or (bends == ["Relu"] and not powers)
