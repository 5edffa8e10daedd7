"""Mutations of models: real ones changed in a few places, or cut to pieces, that still run.

Equal seeds give equal models. Knows nothing of passes.
"""

from __future__ import annotations

from graphopt.testing.mutation import attributes, constants, interface, nodes, regions, versions
from graphopt.testing.mutation.cut import Recording, cut
from graphopt.testing.mutation.engine import CLAIMS, DONE, mutate
from graphopt.testing.mutation.subject import MUTATIONS

__all__ = ["CLAIMS", "DONE", "MUTATIONS", "Recording", "cut", "mutate"]

_FAMILIES = (attributes, constants, interface, nodes, regions, versions)  # importing them registers them
