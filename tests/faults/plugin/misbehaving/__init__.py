"""A plug-in whose passes misbehave, each in its own way: what a user may install by mistake."""

from __future__ import annotations

from . import corrupting, hanging, process, raising
from .base import Misbehaving

PASSES = [
    found
    for module in (raising, hanging, corrupting, process)
    for found in vars(module).values()
    if isinstance(found, type) and issubclass(found, Misbehaving) and found is not Misbehaving
]
