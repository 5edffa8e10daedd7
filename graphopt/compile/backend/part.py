"""A captured graph and what has become of it: a program for onnxruntime, or what PyTorch runs."""

from __future__ import annotations

import logging
import os
import re
import threading
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import fx

from graphopt.compile.backend.call import Call, check_program, race
from graphopt.compile.backend.capture import Roles, capture, paths_of
from graphopt.compile.backend.options import Options
from graphopt.compile.backend.program import Program, Weights, Wiring
from graphopt.compile.backend.views import plan_outputs
from graphopt.compile.driver import optimize
from graphopt.errors import GraphoptError, TraceError
from graphopt.ir import is_deterministic, nodes
from graphopt.pytorch.arrays import to_numpy

MOST_COMPILATIONS = 8
"""Of one captured graph: for other sizes that it cannot leave free, and after its weights changed."""
_PLACE = re.compile(r'File "([^"]+)", line (\d+), in (\w+|<\w+>)')
_log = logging.getLogger("graphopt")
_MISSING: Any = object()


class Part:
    """A captured graph and what has become of it.

    Args:
        graph_module: The graph.
        options: How to compile it.
    """

    def __init__(self, graph_module: fx.GraphModule, options: Options) -> None:
        self._graph = graph_module
        self._eager: Callable[..., Any] = graph_module.forward
        self._options = options
        self._paths = paths_of(graph_module)
        self._programs: dict[tuple[Any, ...], Program | None] = {}
        self._specialized: tuple[int, ...] | None = None
        self._compilations = 0
        self._given_up = False
        self._told: set[str] = set()
        self._has_gradients = any(parameter.requires_grad for parameter in graph_module.parameters())
        self._lock = threading.Lock()

    def __call__(self, *args: Any) -> Any:
        """Run the graph, compiling it first where that is due."""
        if self._given_up:
            return self._eager(*args)
        if torch.is_grad_enabled() and (self._has_gradients or any(map(_requires_grad, args))):
            self._tell("gradients are needed")
            return self._eager(*args)
        if self._specialized is not None:
            program = self._programs.get(self._key(args), _MISSING)
            if program is None:
                return self._eager(*args)
            if isinstance(program, Program) and program.weights.unchanged(args):
                try:
                    return program(args)
                except GraphoptError as error:
                    self._give_up(error.message)
                    return self._eager(*args)
        with self._lock:
            return self._compile(args)

    def _key(self, args: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(map(_number, (args[position] for position in self._specialized or ())))

    def _compile(self, args: Sequence[Any]) -> Any:
        """Run the graph as PyTorch does, and make of that call what is needed for the next ones."""
        self._compilations += 1
        if self._compilations > MOST_COMPILATIONS:
            self._give_up("its weights or sizes keep changing")
            return self._eager(*args)
        if reason := _unfit(args):
            self._give_up(reason)
            return self._eager(*args)
        call = Call.record(self._eager, args)
        try:
            self._make_program(call)
        except GraphoptError as error:
            self._give_up(error.message)
        except Exception as error:  # a call that works in PyTorch works here, whatever the exporter raises
            first_line = next(iter(str(error).splitlines()), "")
            self._give_up(f"it cannot be traced ({type(error).__name__}: {first_line})")
        return call.result

    def _make_program(self, call: Call) -> None:
        if any(isinstance(call.after[position], torch.nn.Parameter) for position in call.written):
            raise TraceError("it writes to parameters")
        plan = plan_outputs(self._graph, call.fresh(), call.result)
        if not plan.computed and not call.written:
            raise TraceError("there is nothing to compute")
        roles = Roles.of(self._graph, call.before, call.written)
        try:
            captured = capture(self._graph, call.before, self._paths, roles, plan.computed)
        except GraphoptError:
            if not roles.sizes:
                raise
            roles = roles.fixed()
            captured = capture(self._graph, call.before, self._paths, roles, plan.computed)
        self._specialized = roles.numbers
        if not all(is_deterministic(node) for node in nodes(captured.model)):
            raise TraceError("it draws random numbers, which are PyTorch's to draw")
        options = self._options
        arrays = {name: to_numpy(call.before[position]) for name, position in captured.inputs.items()}
        fixed = all(
            value.shape is not None and value.shape.is_static() for value in captured.model.graph.inputs
        )
        result = optimize(
            captured.model, level=options.level, target=options.target, check=options.check, measure=False,
            inputs=arrays if arrays and fixed else None,  # where sizes are free, some are made
        )  # fmt: skip
        wiring = Wiring(captured.inputs, captured.outputs, captured.written, plan.tail)
        constants = {position: call.after[position] for position in roles.weights}
        weights = Weights(constants, on_death=self._programs.clear)
        program = Program(result.model, wiring, weights)
        if options.check:
            check_program(program, call)
        if options.measure and (ratio := race(self._eager, program, call)) > 1:
            _log.info("%s: onnxruntime takes %.2fx the time, so PyTorch runs it", self._where(), ratio)
            self._programs[self._key(call.after)] = None
        else:
            self._programs[self._key(call.after)] = program

    def _give_up(self, reason: str) -> None:
        self._given_up = True
        self._programs.clear()
        self._tell(reason)

    def _tell(self, reason: str) -> None:
        """Warn, once for each reason."""
        if reason not in self._told:
            self._told.add(reason)
            warnings.warn(f"{self._where()} runs as PyTorch runs it: {reason}", stacklevel=4)

    def _where(self) -> str:
        """The place in the user's code that the graph was captured from."""
        for node in self._graph.graph.nodes:
            places = _PLACE.findall(node.meta.get("stack_trace") or "")
            if node.op != "placeholder" and places:
                path, line, function = places[0]
                return f"the graph of {function} ({os.path.basename(path)}:{line})"
        return "a captured graph"


def _unfit(args: Sequence[Any]) -> str:
    """Why these arguments cannot be onnxruntime's; empty if they can."""
    for arg in args:
        if not isinstance(arg, torch.Tensor):
            continue
        if type(arg) not in (torch.Tensor, torch.nn.Parameter):
            return f"an argument is a {type(arg).__name__}"
        if arg.device.type != "cpu":
            return f"tensors are on {arg.device.type}"
        if arg.layout != torch.strided or arg.is_quantized:
            return "a tensor is sparse or quantized"
    return ""


def _requires_grad(arg: Any) -> bool:
    return isinstance(arg, torch.Tensor) and arg.requires_grad


def _number(arg: Any) -> Any:
    return arg.item() if isinstance(arg, torch.Tensor) else arg
