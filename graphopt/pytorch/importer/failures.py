"""Why a module could not be captured: the user's source line and the nearest remedy.

Only words failures; whether to try again is decided where the module is captured.
"""

from __future__ import annotations

import re
import traceback
from dataclasses import dataclass
from typing import Any

import torch
from torch._dynamo.exc import UserError, UserErrorType
from torch.fx.experimental.symbolic_shapes import ConstraintViolationError, GuardOnDataDependentSymNode

from graphopt.errors import GraphoptError, TraceError
from graphopt.pytorch.importer.source_lines import SourceLine, line_of_error

_ITEM = re.compile(r"\.item\(|\.tolist\(|\bint\(|\bfloat\(|\brange\(")


@dataclass(frozen=True)
class Remedy:
    """What stops a capture, in words that follow the line of code, and what to write instead."""

    problem: str
    hint: str


_BRANCH = Remedy(
    "branches on the values of a tensor, which a graph cannot know",
    "choose between both results with torch.where, or give both branches as functions to torch.cond",
)
_LOOP = Remedy(
    "loops until the values of a tensor say stop, which a graph cannot know",
    "run a fixed number of steps and keep what is needed with torch.where, or use torch.while_loop",
)
_ASSERT = Remedy(
    "checks the values of a tensor, which a graph cannot know",
    "leave the assertion out, or run it only where `not torch.compiler.is_compiling()`",
)
_NUMBER = Remedy(
    "takes a number out of a tensor and needs to know it while tracing",
    "keep it a tensor; or pass the number as a Python argument; or state its bounds with torch._check "
    "right behind .item()",
)
_SIZE = Remedy(
    "depends on a size that only the data decides",
    "state what holds for it before, as in torch._check(y.shape[0] > 3), or choose with torch.where",
)


def explained(error: BaseException, name: str) -> TraceError:
    """A TraceError that says what stopped the capture of a module.

    Args:
        error: What torch.export raised.
        name: The module's class.
    """
    where = line_of_error(error)
    if isinstance(error, GraphoptError):
        return _located(name, error.message, where, error.hint)
    if _packs(error):
        return _located(
            name,
            "the lengths of a PackedSequence are data, which a graph cannot know",
            where,
            "give the padded tensor, and mask the outputs behind each sequence's end",
        )
    guard = _data_dependence(error)
    if guard is not None:
        remedy = _remedy(where.text if where else "", guard)
        if where is None:
            return TraceError(f"{name} cannot be traced: it {remedy.problem}", hint=remedy.hint)
        return TraceError(
            f"{name} cannot be traced: `{where.text}` {remedy.problem} ({where})", hint=remedy.hint
        )
    operator = getattr(error, "func", None)
    if isinstance(operator, torch._ops.OpOverload):  # a tensor's stand-in cannot run it
        return _located(
            name,
            f"{operator} cannot be traced, as the shape of its result is not known beforehand",
            where,
            "compute it outside of the module, or write it with other functions",
        )
    return _located(name, _first_sentence(error), where, _hint(error))


def own_failure(error: BaseException, name: str) -> TraceError:
    """A TraceError for a forward that fails on the example inputs without any tracing."""
    return _located(
        name,
        f"its forward fails on the example inputs: {type(error).__name__}: {_first_sentence(error)}",
        line_of_error(error),
        "give example inputs that the module itself can run on",
    )


def is_about_inputs(error: BaseException) -> bool:
    """Whether the arguments or the dynamic dimensions are at fault, and not the code of forward."""
    if isinstance(error, (GraphoptError, ConstraintViolationError)):
        return True
    if isinstance(error, UserError):
        return error.error_type in (UserErrorType.CONSTRAINT_VIOLATION, UserErrorType.INVALID_INPUT)
    return isinstance(error, ValueError) and "user-specified" in str(error)


def _located(name: str, problem: str, where: SourceLine | None, hint: str | None) -> TraceError:
    place = f", at `{where.text}` ({where})" if where is not None else ""
    return TraceError(f"{name} cannot be traced: {problem}{place}", hint=hint)


def _data_dependence(error: BaseException) -> Any:
    """The condition on data that could not be decided, or None."""
    current: BaseException | None = error
    while current is not None:
        if isinstance(current, GuardOnDataDependentSymNode):
            return getattr(current, "cond", "")
        current = current.__cause__ or current.__context__
    return None


def _packs(error: BaseException) -> bool:
    """Whether an exception arose while a PackedSequence was made or used."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return any(
        frame.f_code.co_name == "pack_padded_sequence" or frame.f_locals.get("batch_sizes") is not None
        for frame in frames
    )


def _remedy(code: str, condition: Any) -> Remedy:
    truth = str(condition).startswith("Eq(u") and str(condition).endswith(", 1)")
    if truth and code.startswith("while "):
        return _LOOP
    if truth and code.startswith("assert "):
        return _ASSERT
    if truth:
        return _BRANCH
    if _ITEM.search(code):
        return _NUMBER
    return _SIZE


def _hint(error: BaseException) -> str | None:
    text = str(error)
    if ".numpy()" in text or "numpy" in text.split("\n")[0]:
        return "stay in torch: compute with torch's functions instead of numpy's"
    if isinstance(error, AttributeError) and "FakeTensor" in text:
        return "the attribute or method is none of torch.Tensor's"
    return None


def _first_sentence(error: BaseException) -> str:
    """The first line of a message, without torch's advice on its own environment variables."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
