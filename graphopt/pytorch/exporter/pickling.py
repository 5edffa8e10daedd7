"""How a module that `to_fx` made is read back from a pickle: statement by statement, as it was printed.

torch.fx pickles the code of a graph and traces it again when reading. Tracing runs the code, which calls
that branch on sizes do not survive; `Reader` makes a node of each call instead, under its old name.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from types import ModuleType
from typing import Any

import torch
from torch import fx


class Reader(fx.Tracer):  # type: ignore[misc]
    """A tracer that reads a graph's code instead of running it."""

    def trace(
        self,
        root: torch.nn.Module | Callable[..., Any],
        concrete_args: dict[str, Any] | None = None,
    ) -> fx.Graph:
        """The graph that a graph module's code was written from; anything else is traced as usual."""
        code = getattr(root, "_code", None)
        if not isinstance(root, torch.nn.Module) or code is None:
            return super().trace(root, concrete_args)
        self.root = root
        self.graph = fx.Graph(tracer_cls=Reader)
        (function,) = (one for one in ast.parse(code).body if isinstance(one, ast.FunctionDef))
        known = {
            name: _recorded(value, self) for name, value in type(root).forward.__globals__.items()
        }  # fmt: skip
        for name, default in _arguments(function):
            given = () if default is None else (_evaluated(default, known),)
            known[name] = fx.Proxy(self.graph.placeholder(name, None, *given), self)
        known["self"] = _Attribute(self, root, ())
        for statement in function.body:
            if isinstance(statement, ast.Return):
                result = None if statement.value is None else _evaluated(statement.value, known)
                self.graph.output(self.create_arg(_settled(result)))
            else:
                self._assign(statement, known)
        return self.graph

    def _assign(self, statement: ast.stmt, known: dict[str, Any]) -> None:
        if isinstance(statement, ast.AnnAssign):
            target: ast.expr | None = statement.target
        else:
            target = statement.targets[0] if isinstance(statement, ast.Assign) else None
        value = getattr(statement, "value", None)
        if value is None or (isinstance(value, ast.Constant) and value.value is None):
            return  # a value that is no longer needed
        result = _settled(_evaluated(value, known))
        if isinstance(target, ast.Name):
            if isinstance(result, fx.Proxy) and result.node.name != target.id:
                result.node._rename(target.id)
            known[target.id] = result

    def create_arg(self, a: Any) -> Any:
        """An argument of a node; attributes become nodes that read them."""
        return super().create_arg(_settled(a))


class _Attribute:
    """`self.layers.0.weight`, as far as it was read: a module to go on from or to call, or a tensor."""

    def __init__(self, reader: Reader, value: Any, path: tuple[str, ...]) -> None:
        self._reader = reader
        self._value = value
        self._path = path

    def __getattr__(self, name: str) -> Any:
        return _Attribute(self._reader, getattr(self._value, name), (*self._path, name))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._reader.create_proxy("call_module", ".".join(self._path), args, kwargs)

    def settled(self) -> fx.Proxy:
        """The node that reads the attribute."""
        return self._reader.create_proxy("get_attr", ".".join(self._path), (), {})


class _Namespace:
    """A module of Python: its functions make nodes."""

    def __init__(self, reader: Reader, module: Any) -> None:
        self._reader = reader
        self._module = module

    def __getattr__(self, name: str) -> Any:
        return _recorded(getattr(self._module, name), self._reader)


def _recorded(value: Any, reader: Reader) -> Any:
    """A value of the code's surroundings, which makes a node where it is called."""
    if isinstance(value, ModuleType) or type(value).__name__ in ("_OpNamespace", "_Ops", "OpOverloadPacket"):
        return _Namespace(reader, value)
    if not callable(value) or isinstance(value, type):
        return value

    def call(*args: Any, **kwargs: Any) -> Any:
        return reader.create_proxy("call_function", value, args, kwargs)

    return call


def _arguments(function: ast.FunctionDef) -> list[tuple[str, ast.expr | None]]:
    """Names of a function's arguments without `self`, and their defaults."""
    arguments = function.args.args
    missing = len(arguments) - len(function.args.defaults)
    defaults = [*[None] * missing, *function.args.defaults]
    return [(one.arg, default) for one, default in zip(arguments, defaults, strict=True)][1:]


def _evaluated(expression: ast.expr, known: dict[str, Any]) -> Any:
    return eval(compile(ast.Expression(expression), "<graph>", "eval"), known)


def _settled(value: Any) -> Any:
    return value.settled() if isinstance(value, _Attribute) else value
