"""Which instruction set kernels run on."""

from __future__ import annotations

from graphopt._native import kernel_tier
from graphopt.errors import UsageError

_KNOWN = "; known: "


def instruction_set() -> str:
    """The newest that this processor has, or an older one where the variable `GRAPHOPT_ISA` names it.

    Results are the same bits on all of them.

    Raises:
        UsageError: `GRAPHOPT_ISA` names none.
    """
    try:
        return kernel_tier()
    except ValueError as error:
        message, _, known = str(error).partition(_KNOWN)
        raise UsageError(message, hint=f"known are {known}; without it the newest there is runs") from error
