"""Run a module as PyTorch does, and leave it as it was: modes, buffers and Python attributes."""

from __future__ import annotations

import contextlib
import copy
import io
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

_LOGGERS = ("torch", "torch.onnx", "torch.export", "onnxscript")


@dataclass(frozen=True)
class EagerRun:
    """What a module did.

    Attributes:
        result: What forward returned.
        buffers: The buffers as forward left them, those it wrote to only.
        args: The positional arguments as forward left them.
        kwargs: The named arguments as forward left them.
        python_state: Paths of attributes that forward set and that are no tensors, such as a counter.
    """

    result: Any
    buffers: Mapping[str, torch.Tensor]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    python_state: tuple[str, ...]


def run_eagerly(module: torch.nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> EagerRun:
    """Run a module in eval mode, without gradients, on copies of the arguments.

    Raises:
        Exception: whatever forward raises.
    """
    args, kwargs = copy.deepcopy((args, dict(kwargs)))
    attributes = [(path, part, _kept(part)) for path, part in module.named_modules()]
    buffers = {name: (tensor, tensor._version) for name, tensor in module.named_buffers()}
    saved = {name: tensor.detach().clone() for name, (tensor, _) in buffers.items()}
    try:
        with in_eval_mode(module), torch.no_grad(), quiet():
            result = module(*args, **kwargs)
        after = dict(module.named_buffers())
        written = {
            name: after[name].detach().clone()
            for name, (tensor, version) in buffers.items()
            if name in after and (after[name] is not tensor or tensor._version != version)
        }
        changed = [
            f"{path}.{name}" if path else name
            for path, part, kept in attributes
            for name in _changed(part, kept)
        ]
        return EagerRun(result, written, args, kwargs, tuple(changed))
    finally:
        with torch.no_grad():
            for name, (tensor, version) in buffers.items():
                if tensor._version != version:
                    tensor.copy_(saved[name])
        for _, part, kept in attributes:
            part.__dict__.clear()
            part.__dict__.update(kept)


def _kept(part: torch.nn.Module) -> dict[str, Any]:
    """A module's attributes; containers as copies, since forward may add to them."""
    return {
        name: copy.copy(value) if type(value) in (list, dict, set) else value
        for name, value in part.__dict__.items()
    }


def _changed(part: torch.nn.Module, kept: Mapping[str, Any]) -> list[str]:
    names = []
    for name, value in part.__dict__.items():
        if name.startswith("_") or name == "training":
            continue
        before = kept.get(name, part)
        same = value is before
        if type(value) in (list, dict, set) and type(before) is type(value):
            same = len(value) == len(before) and all(
                one is other for one, other in zip(_items(value), _items(before), strict=True)
            )
        if not same:
            names.append(name)
    return names


def _items(container: Any) -> list[Any]:
    return list(container.values()) if isinstance(container, dict) else list(container)


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
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
