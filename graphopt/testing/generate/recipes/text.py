"""Operators of strings."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from graphopt.testing.generate.builder import Builder
from graphopt.testing.generate.recipe import recipe
from graphopt.testing.generate.recipes._parts import typed


@recipe("StringConcat", "StringSplit", "StringNormalizer", "RegexFullMatch", weight=3)
def of_text(b: Builder, op_type: str) -> None:
    """Joined, split, cleaned or matched."""
    x = b.pick("s")
    if op_type == "StringConcat":
        b.op(op_type, x, x if b.choices.chance(0.5) else b.constant(np.array("b", dtype=object)))
    elif op_type == "StringSplit":
        b.op(op_type, x, outputs=2, delimiter=b.choices.choose((None, "a")))
    elif op_type == "RegexFullMatch":
        b.op(op_type, x, pattern=b.choices.choose(("a.*", "[ab]", "")))
    else:
        x = typed(b, ir.DataType.STRING, 1)
        b.op(op_type, x, stopwords=["a"], is_case_sensitive=b.choices.choose((1, 0)))
