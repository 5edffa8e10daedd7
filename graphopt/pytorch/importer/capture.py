"""From a module to an ExportedProgram: torch.export in eval mode, without noise, failures explained.

Never changes the module: modes are restored, whatever happens.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.parameter import is_lazy

from graphopt.errors import GraphoptError, TraceError, UsageError
from graphopt.pytorch.importer.assumptions import count_assumptions
from graphopt.pytorch.importer.constraints import explained_constraint
from graphopt.pytorch.importer.containers import open_up, tensors_of_their_own
from graphopt.pytorch.importer.dimensions import Dimensions
from graphopt.pytorch.importer.eager import in_eval_mode, quiet, run_eagerly
from graphopt.pytorch.importer.enlarge import Arguments, enlarged
from graphopt.pytorch.importer.failures import explained, is_about_inputs, own_failure
from graphopt.pytorch.importer.forms import usual_forms
from graphopt.pytorch.importer.pooling import open_pools
from graphopt.pytorch.recurrent import kept_whole
from graphopt.pytorch.signature import arguments, parameter_names


@dataclass(frozen=True)
class Captured:
    """A captured module.

    Attributes:
        program: What torch.export made of it.
        module: What to ask for the right results.
        parameters: Names of forward's parameters.
        args: Positional example inputs.
        kwargs: Named example inputs, in forward's order.
        dimensions: The names of dynamic dimensions.
        assumptions: How many assumptions about sizes the capture made; None where that is not known.
    """

    program: torch.export.ExportedProgram
    module: torch.nn.Module
    parameters: tuple[str, ...]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    dimensions: Dimensions
    assumptions: int | None = None


def capture(module: Any, example_inputs: Any, dynamic_shapes: Any) -> Captured:
    """Capture a module, or take an ExportedProgram as it is.

    Raises:
        TraceError: the module cannot be captured.
        UsageError: the arguments are of the wrong kind.
    """
    if isinstance(module, torch.export.ExportedProgram):
        return _given_program(module, example_inputs, dynamic_shapes)
    if not isinstance(module, torch.nn.Module):
        raise UsageError(
            f"expected a torch.nn.Module or an ExportedProgram, found {type(module).__name__}",
            hint="give the module itself, not its class or its state",
        )
    if example_inputs is None:
        raise UsageError(
            f"{type(module).__name__} needs example inputs to be traced",
            hint="give a tensor, a tuple of arguments or a dict of named ones; () for a forward without any",
        )
    module = getattr(module, "_orig_mod", module)  # torch.compile wraps
    _demand_real_weights(module)
    args, kwargs = arguments(example_inputs, parameter_names(module.forward))
    parameters = parameter_names(module.forward, len(args))
    args, kwargs = tensors_of_their_own((args, kwargs))
    _demand_fitting(module, args, kwargs)
    open_up((args, kwargs), f"an argument of {type(module).__name__}")
    with _spelled_out(module, kwargs):
        dimensions = Dimensions.from_user(dynamic_shapes, module.forward, args, kwargs)
        program = _exported(module, args, kwargs, dimensions)
    return Captured(program, module, parameters, args, kwargs, dimensions, count_assumptions(program))


def _exported(
    module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], dimensions: Dimensions
) -> torch.export.ExportedProgram:
    name = type(module).__name__

    def export(
        arguments: Arguments = (args, kwargs), *, strict: bool = False
    ) -> torch.export.ExportedProgram:
        with _any_size(), kept_whole(), open_pools(), usual_forms():
            return torch.export.export(module, *arguments, dynamic_shapes=dimensions.spec, strict=strict)

    with in_eval_mode(module), quiet():
        if (grown := enlarged(module, args, kwargs, dimensions.asked)) is not None:
            with contextlib.suppress(Exception):
                return export(grown)
        try:
            return export()
        except Exception as error:
            if isinstance(error, GraphoptError):
                raise explained(error, name) from error
            if is_about_inputs(error):
                raise explained_constraint(error, name, export) from error
            try:
                result = run_eagerly(module, args, kwargs).result
            except Exception as own:
                raise own_failure(own, name) from own
            if open_up(result, f"a result of {name}"):
                return export()
            # Python that cannot run on stand-ins for tensors can often be analysed as text.
            with contextlib.suppress(Exception):
                return export(strict=True)
            raise explained(error, name) from error


def _demand_real_weights(module: torch.nn.Module) -> None:
    if isinstance(module, torch.jit.ScriptModule):
        raise UsageError("a ScriptModule cannot be traced", hint="give the nn.Module that it was made from")
    for name, part in module.named_modules():
        if type(part).__module__.startswith(("torch.ao.nn.quantized", "torch.nn.quantized")):
            raise TraceError(
                f"{name or 'the module'!r} is a {type(part).__name__} of packed integers: no trace sees them",
                hint="trace the float module, and quantize the graph",
            )
    for name, tensor in (*module.named_parameters(), *module.named_buffers()):
        if is_lazy(tensor):
            raise TraceError(
                f"{name!r} of {type(module).__name__} has no shape yet",
                hint="run the module once, so that its lazy layers learn their sizes",
            )
        if tensor.is_meta:
            raise TraceError(
                f"{name!r} of {type(module).__name__} lies on the meta device and has no elements",
                hint="load the weights first",
            )


def _demand_fitting(module: torch.nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    """Make sure that forward can be called with the arguments at all."""
    signature = inspect.signature(module.forward)
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        given = [*(f"<{type(value).__name__}>" for value in args), *kwargs]
        raise TraceError(
            f"{type(module).__name__}.forward{signature} cannot be called with the example inputs "
            f"({', '.join(given)}): {error}",
            hint="a tuple gives arguments by position, a dict by name, anything else is the only argument",
        ) from error


def _given_program(
    program: torch.export.ExportedProgram, example_inputs: Any, dynamic_shapes: Any
) -> Captured:
    if dynamic_shapes is not None:
        raise UsageError(
            "an ExportedProgram has its dynamic dimensions already",
            hint="leave dynamic_shapes out, or trace the module it was made from",
        )
    signature = program.module_call_graph[0].signature
    parameters = tuple(getattr(signature, "forward_arg_names", None) or ())
    if example_inputs is not None:
        args, kwargs = arguments(example_inputs, parameters)
    elif program.example_inputs is not None:
        args, kwargs = program.example_inputs
    else:
        raise TraceError("the ExportedProgram has no example inputs", hint="give example_inputs")
    made = count_assumptions(program)
    return Captured(program, program.module(), parameters, tuple(args), dict(kwargs), Dimensions(), made)


@contextmanager
def _spelled_out(module: torch.nn.Module, kwargs: Mapping[str, Any]) -> Iterator[None]:
    """Let arguments that go into `**kwargs` be parameters of forward: torch gives those no dynamic shapes."""
    forward = module.forward
    signature = inspect.signature(forward)
    kind = inspect.Parameter
    named = [p for p in signature.parameters.values() if p.kind != kind.VAR_KEYWORD]
    extra = [name for name in kwargs if name not in signature.parameters]
    if not extra:
        yield
        return

    def spelled_out(*args: Any, **kwargs: Any) -> Any:
        return forward(*args, **kwargs)

    parameters = [*named, *(kind(name, kind.KEYWORD_ONLY) for name in extra)]
    spelled_out.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    own = module.__dict__.get("forward")
    module.__dict__["forward"] = spelled_out
    try:
        yield
    finally:
        if own is None:
            del module.__dict__["forward"]
        else:
            module.__dict__["forward"] = own


@contextmanager
def _any_size() -> Iterator[None]:
    """Let dynamic dimensions be 0 and 1 too, in the example and later, where this version of torch can."""
    from torch.fx.experimental import _config as config

    if not hasattr(config, "backed_size_oblivious"):
        yield
        return
    with config.patch(backed_size_oblivious=True):
        yield
