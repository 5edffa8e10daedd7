"""What an initializer was in the module it was traced from, as its metadata tells."""

from __future__ import annotations

ROLE_KEY = "graphopt.torch"
"""In `metadata_props`: "parameter", "frozen" (a parameter without gradients), "buffer" or "constant"."""

PARAMETER_ROLES = ("parameter", "frozen")
