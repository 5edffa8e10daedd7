"""Mixed precision: leave in float as few of the most sensitive nodes as accuracy needs.

Light nodes first, by kind: of those that hardly cost time in float (a pool in front of an attention over
channels, say) a few may make most of the noise. Then heavy ones. Each of these is quantized alone, and what
that does to the outputs is measured: noises of several nodes hardly depend on each other and add up.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from graphopt.compile.quantization.attempts import FOR_ACCURACY, Attempt, Attempts
from graphopt.compile.quantization.layers import heavy_nodes, light_kinds

LEAST_GAIN = 1.0
"""Decibels that each node in float must gain where what is aimed at is out of reach, or may be."""


def without_what_is_inaccurate(attempts: Attempts, attempt: Attempt) -> Attempt:
    """The attempt with the fewest of the most sensitive heavy nodes in float that keep its accuracy.

    The last attempt made where time is over, or nothing helps: whoever asked looks at its scores.
    """
    if not attempts.is_accurate(attempt):
        attempt = _without_noisy_kinds(attempts, attempt)
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
    if best is attempt:
        best = _without_what_stands_out(attempts, attempt, sensitive)
    return dataclasses.replace(best, noise=noise)


def _without_what_stands_out(attempts: Attempts, attempt: Attempt, sensitive: Sequence[str]) -> Attempt:
    """The attempt without the first of some nodes, as long as each gains much."""
    noise = attempts.noise_without(attempt, {})
    count = 0
    while noise and count < len(sensitive) and not attempts.out_of_time():
        left = attempts.noise_without(attempt, dict.fromkeys(sensitive[: count + 1], FOR_ACCURACY))
        if left is None or _gain(noise, left) < LEAST_GAIN:
            break
        count, noise = count + 1, left
    return attempts.without(attempt, dict.fromkeys(sensitive[:count], FOR_ACCURACY)) or attempt


def _without_noisy_kinds(attempts: Attempts, attempt: Attempt) -> Attempt:
    """The attempt without the kinds of light nodes that gain most for each node, one after the other."""
    noise = attempts.noise_without(attempt, {})
    while noise and not attempts.is_accurate(attempt):
        tried = []
        for kind, names in light_kinds(attempt.made.model).items():
            if attempts.out_of_time():
                return attempt
            left = attempts.noise_without(attempt, dict.fromkeys(names, FOR_ACCURACY))
            if left is not None:
                tried.append((_gain(noise, left) / len(names), kind, left, names))
        gain, kind, left, names = max(tried, default=(0.0, "", noise, []))
        less = attempts.without(attempt, dict.fromkeys(names, FOR_ACCURACY)) if gain >= LEAST_GAIN else None
        if less is None:
            break
        attempts.notes.append(
            f"{len(names)}x {kind} left in float: in {attempt.scheme.name} "
            f"{'it costs' if len(names) == 1 else 'they cost'} {_gain(noise, left):.1f} dB"
        )
        attempt, noise = less, left
    return attempt


def _gain(noise: float, left: float) -> float:
    """Decibels between noise and what is left of it; none where leaving something out breaks the model."""
    if math.isinf(left):
        return -math.inf
    return 10.0 * math.log10(noise / left) if left else math.inf


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
