"""Drop graph outputs, and with them whatever only they need; make outputs of what nobody uses."""

from __future__ import annotations

from graphopt.testing.reduce.case import Case, Take


def drop_outputs(case: Case, take: Take) -> None:
    """Drop each graph output."""
    outputs = case.model.graph.outputs
    for output in [output for output in reversed(outputs) if take()]:
        outputs.remove(output)


def show_unused(case: Case, take: Take) -> None:
    """Make outputs of what each node of the main graph computes for nobody."""
    graph = case.model.graph
    for node in graph:
        unused = not any(output.uses() or output.is_graph_output() for output in node.outputs)
        if unused and take():
            graph.outputs.extend(output for output in node.outputs if output.type is not None)
