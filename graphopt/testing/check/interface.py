"""interface: inputs and outputs keep their names, order, types, and what is declared of their shapes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import onnx_ir as ir

from graphopt.testing.check.failure import Broken
from graphopt.testing.check.trial import Trial


def same_interface(trial: Trial) -> None:
    """Look at the ports.

    Outputs may come to declare more or less than before (shape inference writes there too), never something
    else.

    Raises:
        Broken: The first difference.
    """
    before, after = trial.before.graph, trial.after.graph
    inputs = before.inputs
    if not trial.subject.keeps_defaults:
        kept = {value.name for value in after.inputs}
        inputs = [value for value in inputs if not value.is_initializer() or value.name in kept]
    found = [
        *_differences("input", inputs, after.inputs),
        *_differences("output", before.outputs, after.outputs),
    ]
    if found:
        raise Broken(found[0])


def _differences(kind: str, before: Sequence[ir.Value], after: Sequence[ir.Value]) -> Iterator[str]:
    names = [value.name for value in before], [value.name for value in after]
    if names[0] != names[1]:
        yield f"the {kind}s were {names[0]} and are {names[1]}"
        return
    for old, new in zip(before, after, strict=True):
        if old.type != new.type:
            yield f"the {kind} {old.name!r} was of type {old.type} and is of type {new.type}"
        elif kind == "input" and old.is_initializer() != new.is_initializer():
            yield f"the input {old.name!r} {'lost its' if old.is_initializer() else 'gained a'} default"
        elif not _agree(old.shape, new.shape, strict=kind == "input"):
            yield f"the {kind} {old.name!r} was declared {old.shape} and is declared {new.shape}"


def _agree(old: ir.Shape | None, new: ir.Shape | None, *, strict: bool) -> bool:
    if old is None or new is None:
        return old is new or not strict
    if len(old) != len(new):
        return False
    for one, other in zip(old, new, strict=True):
        known = isinstance(one, int) and isinstance(other, int)
        if one != other and (strict or known):
            return False
    return True
