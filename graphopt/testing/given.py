"""Hypothesis tests that draw from our strategies: found by what they are given, and made to obey options.

Nothing here imports Hypothesis before a test has.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

OURS = "graphopt.testing."
DEPTH = 12
"""How deep in strategies and their arguments ours may be."""


def draws_models(test: Any) -> bool:
    """Whether a test function is given something from a strategy of `graphopt.testing`."""
    handle = getattr(test, "hypothesis", None)
    given = getattr(handle, "_given_kwargs", None)
    return given is not None and any(map(_is_ours, _within(given, DEPTH)))


def obey(test: Any, examples: int | None, seed: int | None) -> None:
    """Let a test that draws models have so many examples, from that seed, and the time that models take.

    Args:
        test: A test function; one that draws none is left alone.
        examples: Number of examples, over what the test says of itself; None to leave it.
        seed: None to leave it.
    """
    if not draws_models(test):
        return
    from hypothesis import HealthCheck, settings

    function = getattr(test, "__func__", test)  # attributes of a bound method are its function's
    before = function._hypothesis_internal_use_settings
    usual = settings.get_profile("default").deadline
    patient = None if before.deadline == usual else before.deadline
    function._hypothesis_internal_use_settings = settings(
        before,
        max_examples=before.max_examples if examples is None else examples,
        deadline=patient,
        suppress_health_check=[
            *before.suppress_health_check,
            HealthCheck.too_slow,
            HealthCheck.data_too_large,
            HealthCheck.filter_too_much,
            HealthCheck.large_base_example,
        ],
    )
    if seed is not None:
        function._hypothesis_internal_use_seed = seed


def _is_ours(found: Any) -> bool:
    return type(found).__module__.startswith(OURS)


def _within(found: Any, depth: int) -> Iterator[Any]:
    """A strategy, those it is made of, and what they were called with: ours were, with bounds of models."""
    yield found
    if isinstance(found, Mapping):
        parts: list[Any] = list(found.values())
    elif isinstance(found, (list, tuple)):
        parts = list(found)
    elif hasattr(found, "do_draw"):
        parts = list(vars(found).values())
    else:
        return
    if depth:
        for part in parts:
            yield from _within(part, depth - 1)
