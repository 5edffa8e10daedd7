"""The versions of ONNX that graphopt reads, checked before anything else is believed."""

from __future__ import annotations

from typing import Any

import onnx

from graphopt.errors import ModelError
from graphopt.ir.opsets import NEWEST_IR_VERSION, NEWEST_OPSET, OLDEST_OPSET

# IR 14 added these element types and nothing else that a model of opset 26 can hold.
_IR_14_TYPES = (onnx.TensorProto.FLOAT6E2M3, onnx.TensorProto.FLOAT6E3M2)
READABLE_TYPES = frozenset(onnx.TensorProto.DataType.values()) - {0, *_IR_14_TYPES}

# Both onnx and onnxruntime keep versions in 32 bits.
_NEWEST_OF_ANY_DOMAIN = 2**31 - 1


def check_versions(proto: onnx.ModelProto, notes: list[str]) -> None:
    """Check IR version and opsets, and repair what has one meaning only.

    Args:
        proto: Changed in place: `ai.onnx` becomes the empty domain it stands for, an opset listed twice is
            listed once, IR version 14 is lowered to 13.
        notes: Gains a line for each repair.

    Raises:
        ModelError: A version is missing, contradictory, too old or too new.
    """
    _check_ir_version(proto, notes)
    _merge_opsets(proto.opset_import, "the model", notes)
    if not proto.opset_import:
        raise ModelError(
            "the model declares no opset, so its operators have no definite meaning",
            hint="export it again, or set opset_import to what its exporter used",
        )
    for function in proto.functions:
        _merge_opsets(function.opset_import, f"the function {function.name!r}", notes)


def _check_ir_version(proto: onnx.ModelProto, notes: list[str]) -> None:
    if proto.ir_version == NEWEST_IR_VERSION + 1:
        proto.ir_version = NEWEST_IR_VERSION
        notes.append(f"lowered the IR version to {NEWEST_IR_VERSION}, the newest that runs")
    check_ir_version(proto.ir_version)


def check_ir_version(version: int) -> None:
    """Raise `ModelError` unless the IR version is one that runs."""
    if version > NEWEST_IR_VERSION:
        raise ModelError(
            f"the model is of IR version {version}; the newest that runs is {NEWEST_IR_VERSION}",
            hint=f"export it with ir_version={NEWEST_IR_VERSION}",
        )
    if version < 1:
        raise ModelError(
            f"the model is of IR version {version}, expected 1 to {NEWEST_IR_VERSION}",
            hint="the file may be truncated or no ONNX model at all",
        )


def _merge_opsets(opsets: Any, owner: str, notes: list[str]) -> None:
    versions: dict[str, int] = {}
    for entry in opsets:
        domain = "" if entry.domain == "ai.onnx" else entry.domain
        if versions.setdefault(domain, entry.version) != entry.version:
            raise ModelError(
                f"{owner} imports the domain {domain or 'ai.onnx'!r} twice, "
                f"as version {versions[domain]} and as version {entry.version}",
                hint="keep the one its nodes were written for",
            )
    if "" in versions:
        check_opset(versions[""], owner)
    for domain, version in versions.items():
        if not 0 <= version <= _NEWEST_OF_ANY_DOMAIN:
            raise ModelError(f"{owner} imports the domain {domain!r} as version {version}, which cannot be")
    if len(versions) != len(opsets):
        notes.append(f"{owner} imported a domain twice; once is kept")
    del opsets[:]
    for domain, version in versions.items():
        opsets.add(domain=domain, version=version)


def check_opset(version: int, owner: str) -> None:
    """Raise `ModelError` unless opset `version`, imported by `owner`, is one that is read and runs."""
    if version > NEWEST_OPSET:
        raise ModelError(
            f"{owner} is of opset {version}; the newest that runs is {NEWEST_OPSET}",
            hint=f"export it at opset {NEWEST_OPSET} or older",
        )
    if version < OLDEST_OPSET:
        raise ModelError(
            f"{owner} is of opset {version}; the oldest that is read is {OLDEST_OPSET}",
            hint="export it again, or raise it with onnx.version_converter.convert_version",
        )
