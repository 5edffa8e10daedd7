"""`torch.compile(module, backend="graphopt")`: what torch.compile captures runs optimized in onnxruntime.

Each captured graph is compiled at its first call without gradients, compared with PyTorch and timed. Whatever
cannot be compiled, needs gradients or would be slower runs as PyTorch runs it, and that is said once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from graphopt.errors import UsageError
from graphopt.pytorch import require_torch

if TYPE_CHECKING:
    from torch import fx

__all__ = ["backend"]


def backend(
    graph_module: fx.GraphModule,
    example_inputs: Sequence[Any],
    *,
    options: Mapping[str, Any] | None = None,
    mode: str | None = None,
) -> Callable[..., Any]:
    """Compile a captured graph, when it is first called; for `torch.compile`, which finds it by name.

    Args:
        graph_module: What torch.compile captured.
        example_inputs: Not used: calls bring their own.
        options: See `Options`.
        mode: Only "default", or None.

    Raises:
        UsageError: An option or the mode is unknown, or onnxscript is not installed.
    """
    require_torch('torch.compile(backend="graphopt")')
    if mode not in (None, "default"):
        raise UsageError(f"the graphopt backend has no mode {mode!r}", hint="options={...} takes options")
    from graphopt.compile.backend.options import Options
    from graphopt.compile.backend.part import Part

    return Part(graph_module, Options.of(options))
