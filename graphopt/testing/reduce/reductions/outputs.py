"""Drop graph outputs, and with them whatever only they need."""

from __future__ import annotations

from graphopt.testing.reduce.case import Case, Take


def drop_outputs(case: Case, take: Take) -> None:
    """Drop each graph output."""
    outputs = case.model.graph.outputs
    for output in [output for output in reversed(outputs) if take()]:
        outputs.remove(output)
