"""What changed about an operator between two versions of the standard, read from ONNX's own schemas.

A step is the version at which an operator got a new definition. Nothing here knows an operator by name.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import onnx.defs
import onnx.helper

OpSchema = onnx.defs.OpSchema
_Option = OpSchema.FormalParameterOption


@functools.cache
def steps(op_type: str, old: int, new: int) -> tuple[int, ...] | None:
    """The versions in (old, new] that define an operator anew, ascending; None if `old` does not know it."""
    found: list[int] = []
    version = new
    while onnx.defs.has(op_type, domain="", max_inclusive_version=version):
        since = onnx.defs.get_schema(op_type, version, "").since_version
        if since <= old:
            return tuple(reversed(found))
        found.append(since)
        version = since - 1
    return None


@functools.cache
def difference(op_type: str, step: int) -> str | None:
    """Why a node of the definition before `step` may not be one of the definition at `step`.

    None where the schemas alone say that it is: they differ at most by more types, by attributes with a
    default, and by optional inputs and outputs at the end. That the meaning is the same they cannot say.
    """
    before = onnx.defs.get_schema(op_type, step - 1, "")
    after = onnx.defs.get_schema(op_type, step, "")
    if after.deprecated:
        return "it is deprecated"
    return (
        _attributes(before, after)
        or _parameters("input", before, after, before.inputs, after.inputs)
        or _parameters("output", before, after, before.outputs, after.outputs)
    )


def _attributes(before: OpSchema, after: OpSchema) -> str | None:
    for name, old in before.attributes.items():
        new = after.attributes.get(name)
        if new is None:
            return f"it has no attribute {name!r} any more"
        if _default(old) != _default(new) or old.type != new.type:
            return f"the default of its attribute {name!r} changed"
        if new.required and not old.required:
            return f"its attribute {name!r} is required"
    for name, new in after.attributes.items():
        if name not in before.attributes and new.required:
            return f"its attribute {name!r} is required"
    return None


def _default(attribute: Any) -> object:
    default = attribute.default_value
    return onnx.helper.get_attribute_value(default) if default.name else None


def _parameters(
    kind: str, before: OpSchema, after: OpSchema, old: Sequence[Any], new: Sequence[Any]
) -> str | None:
    if len(new) < len(old):
        return f"it has no {kind} {old[len(new)].name!r} any more"
    for was, now in zip(old, new, strict=False):
        loosened = was.option == _Option.Single and now.option == _Option.Optional
        if was.option != now.option and not loosened:
            return f"its {kind} {was.name!r} is of another kind"
        if not _types(before, was) <= _types(after, now):
            return f"its {kind} {was.name!r} takes fewer types"
        if kind == "input" and was.name != now.name:
            return f"its {kind} {was.name!r} became {now.name!r}"
    for now in new[len(old) :]:
        if now.option != _Option.Optional:
            return f"it has another {kind} {now.name!r}"
    return None


def _types(schema: OpSchema, parameter: Any) -> set[str]:
    for constraint in schema.type_constraints:
        if constraint.type_param_str == parameter.type_str:
            return set(constraint.allowed_type_strs)
    return {parameter.type_str}
