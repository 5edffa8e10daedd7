"""Whether an order of steps is a valid topological order; knows nothing of how orders are found."""

from __future__ import annotations

from collections.abc import Sequence

from graphopt.errors import ModelError
from graphopt.memory.steps import START, Steps


def check_order(steps: Steps, order: Sequence[int]) -> None:
    """Confirm that every step runs exactly once, and after all steps whose values it reads.

    Raises:
        ModelError: It does not; the message names the value that is read too early, or the step.
    """
    place = {step: position for position, step in enumerate(order)}
    if len(place) != len(order) or place.keys() != set(range(len(steps.nodes))):
        raise ModelError(f"an order of {len(order)} steps does not run each of {len(steps.nodes)} steps once")
    for value, (maker, users) in enumerate(zip(steps.makers, steps.users, strict=True)):
        for user in users:
            if maker != START and place[user] <= place[maker]:
                raise ModelError(
                    f"{steps.name(value)!r} is read by {steps.nodes[user].name!r} before it is made"
                )
