"""What `torch.compile(..., options={...})` may say to the backend."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from graphopt.errors import UsageError


@dataclasses.dataclass(frozen=True)
class Options:
    """What `torch.compile(..., options={...})` may say.

    Attributes:
        level: As for `graphopt.optimize`.
        target: Likewise; what runs is always onnxruntime.
        check: Compare each compiled graph with PyTorch, and each pass's outcome with what came before.
        measure: Time each compiled graph, and leave those to PyTorch that it runs faster.
    """

    level: int = 2
    target: str = "ort-cpu"
    check: bool = True
    measure: bool = True

    @staticmethod
    def of(given: Mapping[str, Any] | None) -> Options:
        """Read them.

        Raises:
            UsageError: One is unknown.
        """
        known = [field.name for field in dataclasses.fields(Options)]
        if unknown := [name for name in given or {} if name not in known]:
            raise UsageError(
                f"the graphopt backend has no option {unknown[0]!r}", hint=f"options are {', '.join(known)}"
            )
        return Options(**(given or {}))
