"""From which opset to which the standard has an operator."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Collection, Mapping

import onnx.defs


def known_operators() -> Collection[str]:
    """All that the standard has, or had at some opset."""
    return _spans().keys()


def first_opset(op_type: str) -> int:
    """The opset that brought an operator; 0 for what is none."""
    return _spans().get(op_type, (0, None))[0]


def exists(op_type: str, low: int, high: int) -> bool:
    """Whether a known operator is there at one of these opsets, both included."""
    first, last = _spans()[op_type]
    return first <= high and (last is None or last >= low)


def lifetime(op_type: str) -> str:
    """The opsets that have a known operator, in words."""
    first, last = _spans()[op_type]
    return f"from opset {first} on" if last is None else f"from opset {first} to {last}"


@functools.cache
def _spans() -> Mapping[str, tuple[int, int | None]]:
    """Operator -> the first opset that has it, and the last; None where it is still there."""
    versions: dict[str, dict[int, bool]] = defaultdict(dict)
    for schema in onnx.defs.get_all_schemas_with_history():
        if not schema.domain:
            versions[schema.name][schema.since_version] = schema.deprecated
    spans: dict[str, tuple[int, int | None]] = {}
    for op_type, deprecated in sorted(versions.items()):
        ended = [since for since, is_deprecated in deprecated.items() if is_deprecated]
        spans[op_type] = min(deprecated), min(ended) - 1 if ended else None
    return spans
