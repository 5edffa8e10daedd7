"""Attributes of a node from its schema alone: the names that the standard gives them say what fits.

`axis` counts dimensions everywhere, `kernel_shape` has an element for each spatial one, and strings are among
the words that the description puts in quotes. An operator that keeps to these habits needs no recipe.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnx.defs

from graphopt.testing.generate.builder import Builder
from graphopt.testing.generate.protos import tensor_of
from graphopt.testing.generate.recipe import Unfit

_TYPE = onnx.defs.OpSchema.AttrType

INTS = (1, 0, 2, -1, 3)
FLOATS = (1.0, 0.5, 0.0, 2.0, -1.0)
_POSITIVE = (1.0, 0.5, 2.0)
_SEEDED = 0.85
_GIVEN = 0.4
_DATA_TYPES = frozenset({"to", "dtype", "output_dtype", "output_datatype", "stash_type", "softmax_precision"})
_COUNTS = ("size", "heads", "group", "groups", "outputs", "dim", "height", "width", "k", "length", "ratio")
_PER_WINDOW = ("kernel_shape", "strides", "dilations", "pooled_shape", "output_shape", "block_shape")


def attributes(b: Builder, schema: onnx.defs.OpSchema, rank: int) -> dict[str, Any]:
    """Attributes by name; most of those that may be left out are.

    Args:
        b: Decides.
        schema: Of the operator.
        rank: Number of dimensions of its first tensor.

    Raises:
        Unfit: One that is needed is of a kind that cannot be made up.
    """
    made: dict[str, Any] = {}
    for name, attribute in sorted(schema.attributes.items()):
        if not attribute.required and not b.choices.chance(_SEEDED if name == "seed" else _GIVEN):
            continue
        make = _MAKERS.get(attribute.type)
        if make is not None:
            made[name] = make(b, attribute, rank)
        elif attribute.required:
            raise Unfit(f"{schema.name} needs its attribute {name}")
    return made


def _integer(b: Builder, attribute: Any, rank: int) -> int:
    name = attribute.name
    if name in _DATA_TYPES:
        return int(b.dtype("fiub"))
    if name.endswith("axis"):
        return b.choices.integer(0, rank - 1) - rank * b.counts_back(0.3) if rank else 0
    if name.rpartition("_")[2] in _COUNTS:
        return b.choices.choose((1, 2, 3))
    default = onnx.helper.get_attribute_value(attribute.default_value) if not attribute.required else None
    if default in (0, 1):  # most are flags, and runtimes disagree on others than these
        return b.choices.choose((0, 1))
    return b.choices.choose(INTS)


def _integers(b: Builder, attribute: Any, rank: int) -> list[int]:
    name = attribute.name
    spatial = max(rank - 2, 1)
    if name in _PER_WINDOW:
        return [b.choices.choose((1, 2, 3) if name == "kernel_shape" else (1, 2)) for _ in range(spatial)]
    if name == "pads":
        return [b.choices.choose((0, 1)) for _ in range(2 * spatial)]
    if name == "perm":
        return b.choices.permutation(rank)
    if name == "axes":
        return b.choices.some(range(rank), 0.5)
    if name == "shape":
        return b.shape()
    return [b.choices.choose(INTS) for _ in range(b.choices.integer(1, 3))]


def _float(b: Builder, attribute: Any, rank: int) -> float:
    name = attribute.name
    if name == "low":
        return b.choices.choose((0.0, -1.0))
    if name == "seed":
        return b.choices.choose((1.0, 2.0))
    if any(word in name for word in ("scale", "epsilon", "high", "momentum", "ratio", "softcap")):
        return b.choices.choose(_POSITIVE)
    return b.choices.choose(FLOATS)


def _floats(b: Builder, attribute: Any, rank: int) -> list[float]:
    if attribute.name == "scales":
        return [b.choices.choose(_POSITIVE) for _ in range(rank)]
    return [b.choices.choose(FLOATS) for _ in range(b.choices.integer(1, 3))]


def _string(b: Builder, attribute: Any, rank: int) -> str:
    default = "" if attribute.required else attribute.default_value.s.decode()
    words = list(dict.fromkeys([default, *_words(attribute.description)]))
    return b.choices.choose([word for word in words if word] or [""])


@functools.lru_cache(1024)
def _words(description: str) -> tuple[str, ...]:
    """What a description seems to name as values: words in quotes, and those in capitals."""
    quoted = re.findall(r"[\"'`]+(\w+)[\"'`]+", description)
    listed = re.findall(
        r"\b([a-z_]+) ?\(default\)|, ([a-z]+)(?= and|,| or)|(?:and|or) ([a-z]+)\b", description
    )
    loud = re.findall(r"\b[A-Z][A-Z_]{2,}\b", description)
    return tuple(dict.fromkeys([*quoted, *loud, *(word for group in listed for word in group if word)]))


def _tensor(b: Builder, attribute: Any, rank: int) -> onnx.TensorProto:
    dtype = b.dtype("fiub")
    return tensor_of(np.asarray([b.choices.choose((1, 0, 2, 3))]).astype(dtype.numpy()), dtype)


def _strings(b: Builder, attribute: Any, rank: int) -> list[str]:
    return [b.choices.choose(("a", "b", "ab")) for _ in range(b.choices.integer(1, 3))]


_MAKERS: dict[Any, Callable[[Builder, Any, int], Any]] = {
    _TYPE.INT: _integer,
    _TYPE.INTS: _integers,
    _TYPE.FLOAT: _float,
    _TYPE.FLOATS: _floats,
    _TYPE.STRING: _string,
    _TYPE.STRINGS: _strings,
    _TYPE.TENSOR: _tensor,
}
