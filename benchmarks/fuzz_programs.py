"""Writes the files of random programs, for the fuzzer of cpp_ext/fuzz to begin with.

    python benchmarks/fuzz_programs.py FOLDER [--programs N]

Then, built with `cmake -DGRAPHOPT_SANITIZE=ON -DGRAPHOPT_FUZZ=ON`: `fuzz_program FOLDER SECONDS [SEED]`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from graphopt.testing.programs import random_program


def write_programs(folder: Path, programs: int) -> None:
    """Write so many programs, of 1 to 16 steps, into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed in range(programs):
        program, _ = random_program(seed, 1 + seed % 16)
        program.save(folder / f"{seed:04}.program")


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--programs", type=int, default=200)
    arguments = parser.parse_args()
    write_programs(arguments.folder, arguments.programs)


if __name__ == "__main__":
    main()
