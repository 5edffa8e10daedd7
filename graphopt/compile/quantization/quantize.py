"""Choose a quantized candidate: convert, take back what costs time or accuracy, and keep what wins.

Arithmetic and placement stand in `quant` and in the passes; what is emitted is scored and measured here.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from graphopt.compile.candidates import Made, Stages, Workshop
from graphopt.compile.choice import Choice, listed
from graphopt.compile.quantization.account import account
from graphopt.compile.quantization.attempts import Attempt, Attempts
from graphopt.compile.quantization.mixed import without_what_is_inaccurate
from graphopt.compile.quantization.request import Conditions, Request
from graphopt.compile.quantization.schemes import QuantizationScheme
from graphopt.compile.quantization.speed import without_what_is_slow
from graphopt.errors import ExecutionError, GraphoptError, UsageError
from graphopt.execute import BenchResult, Samples
from graphopt.pipeline import FailedPassError
from graphopt.report import Quantization


def quantize(
    workshop: Workshop,
    base: Made,
    rival: Made,
    request: Request,
    conditions: Conditions,
    samples: Samples | None,
    stages: Stages,
) -> Choice:
    """The best quantized candidate, or the best float one where none wins.

    Args:
        workshop: Makes candidates.
        base: The float candidate in standard operators.
        rival: The fastest float candidate, which stands if nothing beats it.
        request: What was asked for.
        conditions: Where the model will run, and how it is measured.
        samples: Calibration data; None without.
        stages: Where time is accounted for.

    Raises:
        UsageError: A pass that was asked for by name cannot do what its options say.
    """

    def accounted(attempt: Attempt) -> Quantization:
        with stages("account"):
            return account(attempt, conditions.target, attempts.held_out)

    attempts = Attempts(workshop, request, conditions, samples, base, stages)
    usable = []
    for scheme in request.schemes:
        try:
            attempt = _attempt(attempts, scheme, base, measure=conditions.measure)
        except (ExecutionError, FailedPassError) as error:
            if scheme.as_asked and isinstance(error.__cause__, GraphoptError):
                raise UsageError(str(error), hint=error.__cause__.hint) from error
            attempts.notes.append(f"{scheme.name} failed: {error}")
            continue
        if attempt is None:
            attempts.notes.append(attempts.idle[scheme.name])
        elif attempts.is_usable(attempt):
            usable.append(attempt)
        else:
            attempts.notes.append(_refusal(attempt))
    if not usable:
        return Choice(rival, notes=attempts.notes)
    if not conditions.measure:
        best = usable[0]
        return Choice(best.made, notes=attempts.notes, quantization=accounted(best))
    tried = [rival, *(each.made for each in usable)]
    measured = attempts.measure([workshop.original, *(each.model for each in tried)])
    winner = _winner(usable, measured)
    if winner is not None and _loses_with_others(attempts, rival, winner, conditions.threads):
        winner = None
    if winner is None:
        attempts.notes.append(
            "nothing quantized measured faster than the float model, which is emitted; weight-int8 would "
            "make its file smaller"
        )
        return Choice(rival, measured, listed(workshop, tried, measured, rival), attempts.notes)
    place = 2 + usable.index(winner)
    if measured.slower(place, 1):
        attempts.notes.append(
            f"{winner.scheme.name} is for size: here it takes {measured.ratio(place, 1).median:.2f} times as "
            "long as the float model"
        )
    made = winner.made
    return Choice(made, measured, listed(workshop, tried, measured, made), attempts.notes, accounted(winner))


def _attempt(attempts: Attempts, scheme: QuantizationScheme, base: Made, *, measure: bool) -> Attempt | None:
    attempt = attempts.convert(scheme, attempts.prepare(scheme, attempts.in_parts(scheme, base)))
    if attempt is None:
        return None
    if scheme.as_asked:
        return attempt
    if measure and not scheme.for_size:
        attempt = without_what_is_slow(attempts, attempt)
    return without_what_is_inaccurate(attempts, attempt)


def _winner(usable: Sequence[Attempt], measured: BenchResult) -> Attempt | None:
    """The fastest that is no slower than the original and faster than the float candidate; None without.

    A scheme that is for size needs not be faster.
    """
    for attempt in usable:
        if attempt.scheme.for_size:
            return attempt
    ratios = [
        (measured.ratio(index, 1).median, index)
        for index in range(2, len(usable) + 2)
        if not measured.slower(index)
    ]
    ratio, index = min(ratios, default=(1.0, 0))
    return usable[index - 2] if ratio < 1.0 else None


def _loses_with_others(attempts: Attempts, rival: Made, winner: Attempt, threads: int) -> bool:
    """Whether a winner is slower than the float candidate with one thread, or with two, whichever is left."""
    other = 2 if threads == 1 else 1
    if winner.scheme.for_size or other > (os.cpu_count() or 1):
        return False
    if not attempts.measure([rival.model, winner.made.model], other).slower(1):
        return False
    attempts.notes.append(f"{winner.scheme.name} is faster with {threads} and slower with {other} threads")
    return True


def _refusal(attempt: Attempt) -> str:
    scores, name = attempt.scores, attempt.scheme.name
    assert scores is not None
    if scores.fault:
        return f"what {name} makes of the model cannot be used: {scores.fault}"
    accuracy = f"SQNR {scores.worst_sqnr:.1f} dB, {scores.metric} {scores.value:.4g}"
    return f"{name} is not accurate enough: {accuracy}"
