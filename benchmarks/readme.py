"""Tables of the README that benchmarks write: each stands between two markers that bear its name."""

from __future__ import annotations

from pathlib import Path

README = Path(__file__).resolve().parents[1] / "README.md"


def write_table(name: str, text: str) -> None:
    """Replace what stands between the lines `<!-- NAME:begin -->` and `<!-- NAME:end -->`.

    Raises:
        SystemExit: The README lacks them.
    """
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    head, begun, rest = README.read_text(encoding="utf-8").partition(begin)
    _, ended, tail = rest.partition(end)
    if not begun or not ended:
        raise SystemExit(f"error: {README.name} lacks the lines {begin} and {end}")
    README.write_text(f"{head}{begin}\n{text}\n{end}{tail}", encoding="utf-8")
