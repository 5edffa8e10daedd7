"""Names of dynamic dimensions: from `dynamic_shapes` to torch.export's form, and into the graph's shapes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class Dimensions:
    """The dynamic dimensions asked for.

    Attributes:
        names: Path of a dimension in the nested specification -> its name.
        spec: The specification in torch.export's own terms.
    """

    names: Mapping[tuple[Any, ...], str]
    spec: Any

    @staticmethod
    def from_user(dynamic_shapes: Any) -> Dimensions:
        """Read the specification; texts become `Dim.DYNAMIC` and are remembered."""
        names: dict[tuple[Any, ...], str] = {}
        spec = _read(dynamic_shapes, (), names)
        return Dimensions(names, spec)

    def for_export(self) -> Any:
        """The specification for torch.export."""
        return self.spec


def _read(spec: Any, path: tuple[Any, ...], names: dict[tuple[Any, ...], str]) -> Any:
    if isinstance(spec, str):
        names[path] = spec
        return torch.export.Dim.DYNAMIC
    if isinstance(spec, dict):
        return {key: _read(value, (*path, key), names) for key, value in spec.items()}
    if isinstance(spec, (tuple, list)):
        return type(spec)(_read(value, (*path, index), names) for index, value in enumerate(spec))
    name = getattr(spec, "__name__", None)
    if isinstance(name, str) and name.isidentifier():
        names[path] = name
    return spec
