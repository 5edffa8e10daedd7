"""The command line. It parses, asks the layers below, prints and sets the exit code; it computes nothing."""

from __future__ import annotations

import os
import sys

__all__ = ["main"]

INTERRUPTED = 130


def main() -> None:
    """Run the command line and end the process with its exit code."""
    try:
        _open_standard_streams()
        from graphopt.cli.app import main as run

        run()
    except KeyboardInterrupt:  # while still importing, say; commands tell by themselves
        print("interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)


def _open_standard_streams() -> None:
    """Give closed standard streams to nobody: else the next file opened would get what is meant for them."""
    descriptor = 0
    while descriptor <= 2:
        descriptor = os.open(os.devnull, os.O_RDWR)
    os.close(descriptor)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 as long as we run
