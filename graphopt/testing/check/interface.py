"""interface: inputs and outputs keep their names, order, types, and what is declared of their shapes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import onnx_ir as ir

from graphopt.io import Interface, Port
from graphopt.testing.check.failure import Broken
from graphopt.testing.check.trial import Trial


def same_interface(trial: Trial) -> None:
    """Look at the ports.

    Outputs may come to declare more or less than before (shape inference writes there too), never something
    else.

    Raises:
        Broken: The first difference.
    """
    before, after = trial.reference.interface, Interface.of(trial.after)
    inputs = before.inputs
    if not trial.subject.keeps_defaults:
        kept = {port.name for port in after.inputs}
        inputs = tuple(port for port in inputs if not port.has_default or port.name in kept)
    differences = [
        *_differences("input", inputs, after.inputs),
        *_differences("output", before.outputs, after.outputs),
    ]
    if differences:
        raise Broken(differences[0])


def _differences(kind: str, before: Sequence[Port], after: Sequence[Port]) -> Iterator[str]:
    names = [port.name for port in before], [port.name for port in after]
    if names[0] != names[1]:
        yield f"the {kind}s were {names[0]} and are {names[1]}"
        return
    for old, new in zip(before, after, strict=True):
        if kind == "input" and old.has_default != new.has_default:
            yield f"the input {old.name!r} {'lost its' if old.has_default else 'gained a'} default"
        elif old.type != new.type or not _agree(old.shape, new.shape, strict=kind == "input"):
            yield f"the {kind} {old.name!r} was {old.describe()} and is {new.describe()}"


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
