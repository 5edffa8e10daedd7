"""`torch.compile(module, backend="graphopt")`: what torch.compile captures runs optimized in onnxruntime.

Each captured graph is compiled at its first call without gradients, compared with PyTorch and timed. Whatever
cannot be compiled, needs gradients or would be slower runs as PyTorch runs it, and that is said once.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import re
import statistics
import threading
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import fx

from graphopt.compile.driver import optimize
from graphopt.compile.torch_capture import Roles, capture, paths_of
from graphopt.compile.torch_program import Program, Weights, Wiring
from graphopt.compile.torch_views import plan_outputs
from graphopt.errors import GraphoptError, TraceError, UsageError
from graphopt.ir import is_deterministic, nodes
from graphopt.pytorch import require_torch
from graphopt.pytorch.signature import to_numpy

MOST_COMPILATIONS = 8
"""Of one captured graph: for other sizes that it cannot leave free, and after its weights changed."""
MEASURING_SECONDS = 0.1
MOST_ROUNDS = 50
FEWEST_ROUNDS = 3
AGREEMENT = {torch.float16: 2e-2, torch.bfloat16: 1e-1}
"""Largest difference from PyTorch, over the largest number of an output."""
DEFAULT_AGREEMENT = 1e-3

_PLACE = re.compile(r'File "([^"]+)", line (\d+), in (\w+|<\w+>)')
_log = logging.getLogger("graphopt")


@dataclasses.dataclass(frozen=True)
class Options:
    """What `torch.compile(..., options={...})` may say.

    Attributes:
        level: As for `graphopt.optimize`.
        target: Likewise; what runs is always onnxruntime.
        check: Compare each compiled graph with PyTorch, and each pass's outcome with what came before.
        measure: Time each compiled graph, and leave those to PyTorch that it runs faster.
    """

    level: int = 2
    target: str = "ort-cpu"
    check: bool = True
    measure: bool = True

    @staticmethod
    def of(given: Mapping[str, Any] | None) -> Options:
        """Read them.

        Raises:
            UsageError: One is unknown.
        """
        known = [field.name for field in dataclasses.fields(Options)]
        if unknown := [name for name in given or {} if name not in known]:
            raise UsageError(
                f"the graphopt backend has no option {unknown[0]!r}", hint=f"options are {', '.join(known)}"
            )
        return Options(**(given or {}))


def backend(
    graph_module: fx.GraphModule,
    example_inputs: Sequence[Any],
    *,
    options: Mapping[str, Any] | None = None,
    mode: str | None = None,
) -> Callable[..., Any]:
    """Compile a captured graph, when it is first called; for `torch.compile`, which finds it by name.

    Args:
        graph_module: What torch.compile captured.
        example_inputs: Not used: calls bring their own.
        options: See `Options`.
        mode: Only "default", or None.

    Raises:
        UsageError: An option or the mode is unknown, or onnxscript is not installed.
    """
    require_torch('torch.compile(backend="graphopt")')
    if mode not in (None, "default"):
        raise UsageError(f"the graphopt backend has no mode {mode!r}", hint="options={...} takes options")
    return Part(graph_module, Options.of(options))


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
        call = _Call.record(self._eager, args)
        try:
            self._make_program(call)
        except GraphoptError as error:
            self._give_up(error.message)
        except Exception as error:  # a call that works in PyTorch works here, whatever the exporter raises
            first_line = next(iter(str(error).splitlines()), "")
            self._give_up(f"it cannot be traced ({type(error).__name__}: {first_line})")
        return call.result

    def _make_program(self, call: _Call) -> None:
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
            _check(program, call)
        if options.measure and (ratio := _race(self._eager, program, call)) > 1:
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


_MISSING: Any = object()


@dataclasses.dataclass(frozen=True)
class _Call:
    """One call, as PyTorch ran it.

    Attributes:
        before: Its arguments; for those that were written to, copies of what they were.
        after: Its arguments themselves.
        written: Positions of the arguments that were written to.
        result: What it returned.
    """

    before: tuple[Any, ...]
    after: tuple[Any, ...]
    written: frozenset[int]
    result: Any

    @staticmethod
    def record(eager: Callable[..., Any], args: Sequence[Any]) -> _Call:
        """Make the call; parameters are not copied, since nobody writes to them but who trains."""
        copies = [
            arg.detach().clone()
            if isinstance(arg, torch.Tensor) and not isinstance(arg, torch.nn.Parameter)
            else arg
            for arg in args
        ]
        # A batch norm writes its statistics without counting, so the numbers are compared too.
        versions = [_version(arg) for arg in args]
        result = eager(*args)
        written = frozenset(
            position
            for position, (arg, copy, version) in enumerate(zip(args, copies, versions, strict=True))
            if isinstance(arg, torch.Tensor) and (_version(arg) != version or not _same(arg, copy))
        )
        before = [
            copy if position in written else arg
            for position, (arg, copy) in enumerate(zip(args, copies, strict=True))
        ]
        return _Call(tuple(before), tuple(args), written, result)

    def fresh(self) -> list[Any]:
        """Arguments to make the same call with once more."""
        return [each.clone() if index in self.written else each for index, each in enumerate(self.before)]


def _check(program: Program, call: _Call) -> None:
    """Raise a TraceError where a program does not do what PyTorch did."""
    args = call.fresh()
    results = [*program(args), *(args[position] for position in sorted(call.written))]
    expected = [*call.result, *(call.after[position] for position in sorted(call.written))]
    for index, (ours, theirs) in enumerate(zip(results, expected, strict=True)):
        if reason := _difference(ours, theirs):
            raise TraceError(f"result {index} would differ: {reason}")


def _difference(ours: Any, theirs: Any) -> str:
    """How a result differs from PyTorch's by more than rounding; empty if it does not."""
    if not isinstance(theirs, torch.Tensor):
        return "" if ours == theirs else f"{ours!r}, expected {theirs!r}"
    if (ours.dtype, ours.shape) != (theirs.dtype, theirs.shape):
        return f"{ours.dtype}{list(ours.shape)}, expected {theirs.dtype}{list(theirs.shape)}"
    if not theirs.dtype.is_floating_point:
        return "" if torch.equal(ours, theirs) else "other numbers"
    mine, yours = ours.detach().double(), theirs.detach().double()
    odd = ~torch.isfinite(yours)
    if not torch.equal(torch.nan_to_num(mine[odd]), torch.nan_to_num(yours[odd])):
        return "NaN or infinity in other places"
    mine, yours = mine[~odd], yours[~odd]
    if not yours.numel():
        return ""
    error = float((mine - yours).abs().max()) / max(float(yours.abs().max()), 1e-6)
    most = AGREEMENT.get(theirs.dtype, DEFAULT_AGREEMENT)
    return "" if error <= most else f"by {error:.2g} of its largest number"


def _race(eager: Callable[..., Any], program: Program, call: _Call) -> float:
    """Time of a program over PyTorch's, the median of pairs of runs."""
    runners = (lambda args: eager(*args), program)
    ratios = []
    deadline = time.perf_counter() + MEASURING_SECONDS
    for done in range(MOST_ROUNDS):
        if done >= FEWEST_ROUNDS and time.perf_counter() > deadline:
            break
        seconds = [0.0, 0.0]
        for index in (0, 1) if done % 2 else (1, 0):
            args = call.fresh()
            started = time.perf_counter()
            runners[index](args)
            seconds[index] = time.perf_counter() - started
        ratios.append(seconds[1] / seconds[0])
    return statistics.median(ratios)


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


def _version(arg: Any) -> int | None:
    """How often a tensor was written to; None where PyTorch does not count that."""
    return None if not isinstance(arg, torch.Tensor) or arg.is_inference() else int(arg._version)


def _same(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether two tensors hold the same, NaN included."""
    return one is other or bool(((one == other) | ((one != one) & (other != other))).all())
