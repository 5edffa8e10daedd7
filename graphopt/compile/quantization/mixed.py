"""Mixed precision: leave in float as few of the most sensitive nodes as accuracy needs.

Each node is quantized alone and what that does to the outputs is measured: noises of several nodes hardly
depend on each other and add up.
"""

from __future__ import annotations

import dataclasses

from graphopt.compile.quantization.attempts import FOR_ACCURACY, Attempt, Attempts
from graphopt.compile.quantization.layers import heavy_nodes


def without_what_is_inaccurate(attempts: Attempts, attempt: Attempt) -> Attempt:
    """The attempt with the fewest of the most sensitive heavy nodes in float that keep its accuracy.

    The last attempt made where time is over, or nothing helps: whoever asked looks at its scores.
    """
    if attempts.is_accurate(attempt):
        return attempt
    noise = sensitivities(attempts, attempt)
    sensitive = sorted(noise, key=lambda name: -noise[name])
    low, high = 1, len(sensitive)
    best = attempt
    while low <= high and not attempts.out_of_time():
        middle = (low + high) // 2
        less = attempts.without(attempt, dict.fromkeys(sensitive[:middle], FOR_ACCURACY))
        if less is not None and attempts.is_accurate(less):
            best, high = less, middle - 1
        else:
            low = middle + 1
    return dataclasses.replace(best, noise=noise)


def sensitivities(attempts: Attempts, attempt: Attempt) -> dict[str, float]:
    """Noise at the outputs, over their signal, that quantizing a heavy node alone makes; by name.

    Infinite where the model is broken by it; nodes that time did not suffice for are left out.
    """
    heavy = [node.name or "" for node in heavy_nodes(attempt.made.model)]
    noise: dict[str, float] = {}
    for name in heavy:
        if attempts.out_of_time():
            break
        alone = attempts.noise_without(attempt, {other: FOR_ACCURACY for other in heavy if other != name})
        if alone is not None:
            noise[name] = alone
    return noise
