"""Versions of the format and of operator sets: missing, negative, contradictory, of another century."""

from __future__ import annotations

from collections.abc import Iterator

from onnx import helper

from graphopt.testing.hostile.build import data, model, node
from graphopt.testing.hostile.case import Case


def cases() -> Iterator[Case]:
    """Versions that nobody has."""
    for version in (0, -1, -(1 << 63)):
        yield Case(f"ir-version-{version}", _versions(ir_version=version), "expected 1 to")
    for version in (99, 1 << 40, (1 << 63) - 1):
        yield Case(f"ir-version-{version}", _versions(ir_version=version), "the newest that runs")
    for version in (1, 2, 3):
        yield Case(f"ir-version-{version}", _versions(ir_version=version))
    for version in (0, -1, 1, 6):
        yield Case(f"opset-{version}", _versions(("", version)), "the oldest that is read")
    for version in (28, 100, 1 << 31, 1 << 40, (1 << 63) - 1):
        yield Case(f"opset-{version}", _versions(("", version)), "the newest that runs")
    yield Case("no-opset", _versions(), "declares no opset")
    yield Case("no-standard-opset", _versions(("local", 1)), "imports no opset of it")
    yield Case("two-opsets", _versions(("", 17), ("", 18)), "twice")
    yield Case("opset-by-two-names", _versions(("", 17), ("ai.onnx", 13)), "twice")
    yield Case("opset-twice", _versions(("", 17), ("ai.onnx", 17)))
    for version in (-1, 1 << 31, 1 << 40):
        yield Case(f"local-opset-{version}", _versions(("", 17), ("local", version)), "which cannot be")
    yield Case("ml-opset-999", _versions(("", 17), ("ai.onnx.ml", 999)))
    yield Case("thousand-opsets", _versions(("", 17), *((f"d{index}", 1) for index in range(1000))))


def _versions(*opsets: tuple[str, int], ir_version: int = 8) -> bytes:
    made = model([node("Neg")])
    made.ir_version = ir_version
    del made.opset_import[:]
    imports = [helper.make_opsetid(*each) for each in opsets or ([("", 17)] if ir_version != 8 else [])]
    made.opset_import.extend(imports)
    return data(made)
