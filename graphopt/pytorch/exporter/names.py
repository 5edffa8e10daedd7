"""Names for people: ONNX names as Python identifiers and as dotted paths of parameters."""

from __future__ import annotations

import keyword
import re

import onnx_ir as ir

_NOT_WORD = re.compile(r"\W+", re.ASCII)
_GENERATED = re.compile(r"^(node|val|p2o|n|v|onnx)?[_.]*\d*$|^\d+$")


def identifier(name: str) -> str:
    """A Python identifier close to `name`."""
    text = _NOT_WORD.sub("_", name).strip("_") or "x"
    if text[0].isdigit():
        text = f"x_{text}"
    return f"{text}_" if keyword.iskeyword(text) else text


def attribute_path(name: str) -> list[str]:
    """The path of an attribute in a tree of modules close to `name`: dots part its levels."""
    parts = [_NOT_WORD.sub("_", part).strip("_") for part in name.replace("/", ".").split(".")]
    return [part for part in parts if part] or ["constant"]


def spoken_name(node: ir.Node, value: ir.Value) -> str | None:
    """What to call the result of a node: its own name, else its value's; None if both say nothing."""
    for name in (node.name, value.name):
        text = _NOT_WORD.sub("_", name or "").strip("_").lower()
        if text and not _GENERATED.match(text):
            return identifier(text)
    return None
