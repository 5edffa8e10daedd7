"""From a module to an ExportedProgram: torch.export in eval mode, without noise, failures explained.

Never changes the module: modes are restored, whatever happens.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from graphopt.errors import TraceError, UsageError
from graphopt.pytorch.importer.dimensions import Dimensions
from graphopt.pytorch.importer.failures import explained
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
    """

    program: torch.export.ExportedProgram
    module: torch.nn.Module
    parameters: tuple[str, ...]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    dimensions: Dimensions


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
    parameters = parameter_names(module.forward)
    args, kwargs = arguments(example_inputs, parameters)
    dimensions = Dimensions.from_user(dynamic_shapes, module.forward, args, kwargs)
    with in_eval_mode(module), quiet(), _any_size(), kept_whole():
        try:
            program = torch.export.export(module, args, kwargs, dynamic_shapes=dimensions.spec, strict=False)
        except Exception as error:
            raise explained(error, module) from error
    return Captured(program, module, parameters, args, kwargs, dimensions)


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
    return Captured(program, program.module(), parameters, tuple(args), dict(kwargs), Dimensions())


@contextmanager
def _any_size() -> Iterator[None]:
    """Let dynamic dimensions be 0 and 1 too, in the example and later, where this version of torch can."""
    from torch.fx.experimental import _config as config

    if not hasattr(config, "backed_size_oblivious"):
        yield
        return
    with config.patch(backed_size_oblivious=True):
        yield


@contextmanager
def in_eval_mode(module: torch.nn.Module) -> Iterator[None]:
    """The module and all its submodules in eval mode; each one's own mode afterwards."""
    training = [part for part in module.modules() if part.training]
    for part in training:
        part.training = False
    try:
        yield
    finally:
        for part in training:
            part.training = True


@contextmanager
def quiet() -> Iterator[None]:
    """Hold back torch's warnings and log lines; its errors are raised as they are."""
    loggers = [logging.getLogger(name) for name in ("torch", "torch.onnx", "torch.export", "onnxscript")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
