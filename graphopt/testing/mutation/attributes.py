"""Mutations of attributes: each becomes another value of its type; a few modes are known by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import onnx.defs
import onnx_ir as ir

from graphopt.testing.generate.choices import Choices
from graphopt.testing.generate.recipe import Unfit
from graphopt.testing.mutation.subject import Subject, mutation, pick, tell

FLAGS = frozenset(
    {
        "keepdims", "transA", "transB", "ceil_mode", "count_include_pad", "exclusive", "reverse",
        "select_last_index", "largest", "sorted", "noop_with_empty_axes", "allowzero", "detect_negative",
        "detect_positive", "is_causal", "approximate", "linear_before_reset", "layout", "training_mode",
    }
)  # fmt: skip
FLOATS = (0.0, 1.0, -1.0, 0.5, 1e-5, 1e-12, 2.0, 100.0)
TEXTS: dict[str, tuple[str, ...]] = {
    "auto_pad": ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"),
    "mode": ("constant", "reflect", "edge", "wrap", "nearest", "linear", "cubic", "DCR", "CRD"),
    "coordinate_transformation_mode": (
        "half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel", "half_pixel_symmetric",
    ),
    "nearest_mode": ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil"),
    "direction": ("forward", "reverse", "RIGHT", "LEFT"),
    "approximate": ("none", "tanh"),
    "reduction": ("none", "add", "mul", "max", "min"),
    "equation": (),
}  # fmt: skip
"""Values of attributes that are text, by name."""
STEPS = (1, -1, 2, -2)


@mutation(weight=25)
def change_attribute(subject: Subject, choices: Choices) -> str:
    """Change an attribute of a node."""
    places = [
        (node, attribute)
        for node in subject.nodes()
        for attribute in node.attributes.values()
        if not attribute.is_ref() and attribute.type in _CHANGES
    ]
    node, attribute = pick(choices, places, "attribute")
    changed = _CHANGES[attribute.type](attribute.name, attribute.value, choices)
    if changed == (list(attribute.value) if isinstance(changed, list) else attribute.value):
        raise Unfit("it is as it was")
    node.attributes[attribute.name] = ir.Attr(attribute.name, attribute.type, changed)
    return f"{attribute.name} of {tell(node)}: {attribute.value} -> {changed}"


@mutation()
def drop_attribute(subject: Subject, choices: Choices) -> str:
    """Leave an attribute to its default."""
    places = [
        (node, name) for node in subject.nodes() for name in node.attributes if _may_lack(subject, node, name)
    ]
    node, name = pick(choices, places, "attribute that may be left out")
    del node.attributes[name]
    return f"left out {name} of {tell(node)}"


@mutation(weight=5)
def drop_optional_input(subject: Subject, choices: Choices) -> str:
    """Leave out the last input of a node, where it is optional."""
    fit = []
    for node in subject.nodes():
        schema = _schema(subject, node)
        count = len(node.inputs)
        if schema is None or not count or count > len(schema.inputs):
            continue
        if schema.inputs[count - 1].option == onnx.defs.OpSchema.FormalParameterOption.Optional:
            fit.append(node)
    node = pick(choices, fit, "optional input")
    node.resize_inputs(len(node.inputs) - 1)
    return f"left out the last input of {tell(node)}"


def _int(name: str, value: int, choices: Choices) -> int:
    if name in FLAGS:
        return 1 - value
    if name == "to":
        return int(choices.choose((1, 7, 6, 11, 10, 9)))
    return value + choices.choose(STEPS)


def _ints(name: str, value: Sequence[int], choices: Choices) -> list[int]:
    if not value:
        raise Unfit("empty")
    changed = list(value)
    how = choices.choose(("permute", "step", "first"))
    if how == "permute" or name == "perm":
        return [changed[place] for place in choices.permutation(len(changed))]
    if how == "step":
        place = choices.integer(0, len(changed) - 1)
        changed[place] += choices.choose(STEPS)
        return changed
    return [changed[0]] * len(changed)


def _float(name: str, value: float, choices: Choices) -> float:
    return float(choices.choose(FLOATS)) if choices.chance(0.7) else value * 2.0


def _text(name: str, value: str, choices: Choices) -> str:
    return pick(choices, [text for text in TEXTS.get(name, ()) if text != value], "other text")


_CHANGES: dict[ir.AttributeType, Any] = {
    ir.AttributeType.INT: _int,
    ir.AttributeType.INTS: _ints,
    ir.AttributeType.FLOAT: _float,
    ir.AttributeType.STRING: _text,
}


def _may_lack(subject: Subject, node: ir.Node, name: str) -> bool:
    schema = _schema(subject, node)
    return schema is not None and name in schema.attributes and not schema.attributes[name].required


def _schema(subject: Subject, node: ir.Node) -> Any:
    version = subject.model.opset_imports.get(node.domain)
    if version is None or not onnx.defs.has(node.op_type, version, node.domain):
        return None
    return onnx.defs.get_schema(node.op_type, version, node.domain)
