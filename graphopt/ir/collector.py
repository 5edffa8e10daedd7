"""Pause Python's cyclic garbage collector while a large graph is built or rewritten.

The collector visits every live object again and again as a graph grows, which makes linear work quadratic.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def paused_collector() -> Iterator[None]:
    """Run without the cyclic collector; it goes on afterwards if it was on before.

    What was made meanwhile then counts as old: as young it would all be visited at the next allocation.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            if not gc.get_freeze_count():  # else objects that somebody else has frozen would thaw
                gc.freeze()
                gc.unfreeze()
            gc.enable()
