"""The command line. It parses, asks the layers below, prints and sets the exit code; it computes nothing."""

from __future__ import annotations

import contextlib
import os
import sys

from graphopt.cli.interrupt import exit_code, signals_noted, told

__all__ = ["main"]


def main() -> None:
    """Run the command line and end the process with its exit code."""
    try:
        with signals_noted() as came:
            try:
                _open_standard_streams()
                from graphopt.cli.app import main as run

                run()
            except (Exception, KeyboardInterrupt, SystemExit) as error:
                # Libraries make errors or exits of their own of an interruption, wherever it meets them.
                if _is_interruption(error, came):
                    sys.exit(exit_code(came))
                raise
    except SystemExit as ended:
        if (words := told(ended.code)) is not None:
            with contextlib.suppress(OSError):
                print(words, file=sys.stderr)
        raise


def _is_interruption(error: BaseException, came: list[int]) -> bool:
    if isinstance(error, SystemExit):
        return bool(came) and told(error.code) is not None
    return bool(came) or isinstance(error, KeyboardInterrupt)


def _open_standard_streams() -> None:
    """Give closed standard streams to nobody: else the next file opened would get what is meant for them."""
    descriptor = 0
    while descriptor <= 2:
        descriptor = os.open(os.devnull, os.O_RDWR)
    os.close(descriptor)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 as long as we run
