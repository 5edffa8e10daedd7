"""Which models to generate for a pass: those that its rules look for, of the operators that it speaks of."""

from __future__ import annotations

import ast
import dataclasses
import functools
import importlib
import importlib.util
import inspect
from collections.abc import Iterator
from types import ModuleType

import onnx_ir as ir

from graphopt.ir import Rule
from graphopt.ir.ops import CONTROL_FLOW
from graphopt.pipeline import Pipeline
from graphopt.testing.generate import OPSETS, Spec, standard_operators

Aim = ir.passes.PassBase | Pipeline

MANY = 20
"""Passes of a pipeline; of more, too many operators are spoken of for any to be taken more often."""


def aimed(spec: Spec, at: Aim) -> Spec:
    """The same bounds, for models in which a pass or a pipeline finds more to do."""
    passes = list(at.passes()) if isinstance(at, Pipeline) else [at]
    if len(passes) > MANY:
        return dataclasses.replace(spec, around=rules_of(at))
    often = sorted({name for each in passes for name in operators_of(each)})
    named = sorted({word for each in passes for word in _words(each)})
    return dataclasses.replace(spec, around=rules_of(at), often=tuple(often), named=tuple(named))


def _words(each: ir.passes.PassBase) -> list[str]:
    """What the name of a pass is made of, in the singular, as recipes are called."""
    words = str(getattr(each, "name", "")).split("-")
    return [word.removesuffix("s") for word in words if len(word) > len("to") and word != "into"]


def rules_of(at: Aim) -> tuple[Rule, ...]:
    """The rules of a pass, or of the passes of a pipeline; those of passes that are no rules are unknown."""
    passes = at.passes() if isinstance(at, Pipeline) else iter([at])
    return tuple(rule for each in passes for rule in getattr(each, "rules", ()))


def operators_of(each: ir.passes.PassBase) -> frozenset[str]:
    """Operators of the standard that the module of a pass, or a private one beside it, names in a string."""
    return _operators(type(each).__module__)


@functools.cache
def _operators(module_name: str) -> frozenset[str]:
    module = importlib.import_module(module_name)
    known = {*standard_operators(OPSETS[1]), *CONTROL_FLOW}
    found = frozenset(word for text in _texts(module) for word in text.split() if word in known)
    return found.union(*(_operators(name) for name in _private(module)))


def _texts(module: ModuleType) -> Iterator[str]:
    """Strings of the module's code, documentation left out."""
    tree = _parsed(module)
    documentation = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation:
            yield node.value


def _private(module: ModuleType) -> list[str]:
    """Modules with an underscore that it takes names from."""
    taken = [node.module for node in ast.walk(_parsed(module)) if isinstance(node, ast.ImportFrom)]
    return [name for name in taken if name and name.rpartition(".")[2].startswith("_") and name[0] != "_"]


def _parsed(module: ModuleType) -> ast.Module:
    try:
        return ast.parse(inspect.getsource(module))
    except (OSError, TypeError):  # of a pass that was not written to a file
        return ast.Module([], [])
