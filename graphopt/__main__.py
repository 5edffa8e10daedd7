"""`python -m graphopt`: the command line, for where the console script is not on the path."""

from __future__ import annotations

from graphopt.cli import main

if __name__ == "__main__":
    main()
