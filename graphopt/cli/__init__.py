"""The command line. It parses, asks the layers below, prints and sets the exit code; it computes nothing."""

from __future__ import annotations

from graphopt.cli.app import main

__all__ = ["main"]
