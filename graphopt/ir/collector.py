"""Pause Python's cyclic garbage collector while a large graph is built or rewritten.

The collector visits every live object again and again as a graph grows, which makes linear work quadratic.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator

YOUNG = 100_000
"""Up to so many objects made during a pause are left to the collector: to visit them takes milliseconds."""
OLD = 1_000_000
"""Once long pauses made so many, the next pause begins with a collection of all: graphs are cycles."""


class _Aged:
    """Counts what the collector was told to hold for old, which it does not look at again by itself."""

    count = 0


@contextlib.contextmanager
def paused_collector() -> Iterator[None]:
    """Run without the cyclic collector; it goes on afterwards if it was on before.

    What was made meanwhile, if it is much, then counts as old: as young it would all be visited at the next
    allocation. One long pause is never paid for; who makes many large graphs in a row pays once in a while.
    """
    was_on = gc.isenabled()
    if was_on and _Aged.count > OLD:
        gc.collect()
        _Aged.count = 0
    before = gc.get_count()[0]
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            made = gc.get_count()[0] - before
            # Objects that somebody else has frozen would thaw.
            if made > YOUNG and not gc.get_freeze_count():
                gc.freeze()
                gc.unfreeze()
                _Aged.count += made
            gc.enable()
