"""Looks over the pipeline's shoulder for `--print-after` and `--dump-dir`; changes no model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from graphopt.cli.console import tell
from graphopt.errors import SaveError, UsageError

if TYPE_CHECKING:
    import onnx_ir as ir

    from graphopt.pipeline import Pipeline, Record


class Watch:
    """An observer of a pipeline.

    Args:
        pipeline: What will run.
        print_after: Names of passes after which to print the graph, where they changed it.
        folder: Where to save the model after each pass that changed it, or None.

    Raises:
        UsageError: A pass named is not in the pipeline.
        SaveError: The folder cannot be made.
    """

    def __init__(self, pipeline: Pipeline, print_after: Sequence[str], folder: Path | None) -> None:
        from graphopt.compile.levels import nearest

        known = {getattr(each, "name", type(each).__name__) for each in pipeline.passes()}
        for name in print_after:
            if name not in known:
                raise UsageError(
                    f"--print-after {name}: it is not in the pipeline", hint=nearest(name, pipeline)
                )
        if folder is not None:
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise SaveError(f"cannot make the folder {folder}: {error.strerror}") from error
        self._print_after = frozenset(print_after)
        self._silent = dict.fromkeys(print_after)
        self._folder = folder
        self._saved: list[str] = []
        self._step = 0

    def after(self, record: Record, model: ir.Model) -> None:
        """Called after each pass; one that changed nothing is passed over."""
        self._step += 1
        if not record.changes:
            return
        name = record.name.partition("{")[0]
        if name in self._print_after:
            from graphopt.report.listing import listing

            self._silent.pop(name, None)
            tell(f"# after {record.name}, step {self._step}")
            tell(listing(model))
        if self._folder is not None:
            from graphopt.io import save

            self._saved.append(f"{self._step:03d}-{name.replace(':', '.')}.onnx")
            save(model, self._folder / self._saved[-1])

    def finish(self) -> None:
        """Say what there was to print and to save; called after the last pass."""
        for name in self._silent:
            tell(f"# {name} changed nothing")
        if self._folder is not None:
            models = f"{len(self._saved)} model{'' if len(self._saved) == 1 else 's'}"
            names = f", {self._saved[0]} to {self._saved[-1]}" if len(self._saved) > 1 else ""
            tell(f"wrote {models} to {self._folder}{names}")
