"""Why a dimension that was asked to vary cannot: the line that fixes it, found by watching torch's guards.

torch.export tells which dimension is at fault and not where; while it runs, its log tells of every
assumption about a size. So the failed capture is run once more with somebody listening.
"""

from __future__ import annotations

import contextlib
import logging
import re
import sys
from collections.abc import Callable, Iterator

from graphopt.errors import TraceError
from graphopt.pytorch.importer.source_lines import SourceLine, line_being_run

_LOGGER = "torch.fx.experimental.symbolic_shapes"
_PLACE = re.compile(r"L\['([^\]]+)'\](.*?)\.size\(\)\[(\d+)\]")
_CREATED = re.compile(r"create_symbol (s\d+) = -?\d+ for (L\[.*?\.size\(\)\[\d+\])")
_FIXED = re.compile(r"marked (.+?) as dynamic but your code specialized it to be a constant \((-?\d+)\)")
_EQUAL = re.compile(r"The values of (\w+) = .*? and (\w+) = .*? must always be equal")
_GUARD = re.compile(r"Not all values of (\w+) = .*? satisfy the generated guard (.+?)\.?$", re.MULTILINE)
_CONFLICT = re.compile(r"(\d+) for dimension inputs\['([^']+)'\](.*?)\.shape\[(\d+)\]")


class GuardLog(logging.Handler):
    """Collects torch's assumptions about sizes, each with the user's line being run when it was made.

    Attributes:
        places: Symbol -> the dimension it stands for, as torch writes it.
        assumptions: Text of each assumption and where it was made.
    """

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.places: dict[str, str] = {}
        self.assumptions: list[tuple[str, SourceLine]] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Note a record of the symbolic shapes' log."""
        text = record.getMessage()
        if match := _CREATED.search(text):
            self.places[match[1]] = match[2]
        elif "guard added" in text or text.startswith("set_replacement"):
            where = line_being_run(sys._getframe())
            if where is not None:
                self.assumptions.append((text, where))

    def line_for(self, place: str) -> SourceLine | None:
        """Where the first assumption about a dimension was made, or None."""
        symbols = [symbol for symbol, known in self.places.items() if known == place]
        for symbol in symbols:
            for text, where in self.assumptions:
                if re.search(rf"\b{symbol}\b", text):
                    return where
        return None


@contextlib.contextmanager
def listening() -> Iterator[GuardLog]:
    """Collect the assumptions that a capture inside the block makes."""
    log, logger = GuardLog(), logging.getLogger(_LOGGER)
    level, propagate, handlers = logger.level, logger.propagate, logger.handlers
    logger.handlers = [log]
    logger.propagate = False
    logger.setLevel(logging.INFO)
    try:
        yield log
    finally:
        logger.setLevel(level)
        logger.propagate = propagate
        logger.handlers = handlers


def explained_constraint(error: BaseException, name: str, again: Callable[[], object]) -> TraceError:
    """A TraceError for a dimension that cannot vary as was asked.

    Args:
        error: What torch.export raised.
        name: The module's class.
        again: Runs the failed capture once more.
    """
    with listening() as log, contextlib.suppress(Exception):
        again()
    text = str(error)
    if match := _FIXED.search(text):
        return _fixed(match[1], match[2], name, log)
    if match := _EQUAL.search(text):
        return TraceError(
            f"{name} cannot be traced: dimensions {match[1]!r} and {match[2]!r} have to be equal",
            hint=f"call both of them {match[2]!r}",
        )
    if match := _GUARD.search(text):
        where = next((where for _, where in log.assumptions), None)
        place = f", because of `{where.text}` ({where})" if where is not None else ""
        fixes = text.partition("Suggested fixes:")[2].split("\n\n")[0].strip().splitlines()
        bounds = "; ".join(line.strip() for line in fixes) or f'name it in a text: "{match[1]}"'
        return TraceError(
            f"{name} cannot be traced: not every size of {match[1]!r} is possible{place}",
            hint=f"narrow the dimension ({bounds}), or give its name as a text and have the bounds found",
        )
    if match := _CONFLICT.search(text):
        return _fixed(f"L['{match[2]}']{match[3]}.size()[{match[4]}]", match[1], name, log)
    first = text.strip().splitlines()[0]
    return TraceError(f"{name} cannot be traced: {first}", hint="leave that dimension out of dynamic_shapes")


def _fixed(place: str, size: str, name: str, log: GuardLog) -> TraceError:
    if match := _PLACE.search(place):
        what = f"dimension {match[3]} of {match[1] + _path(match[2])!r}"
    else:
        what = f"dimension {place!r}"
    where = log.line_for(place) if _PLACE.search(place) else None
    if where is None and log.assumptions:
        where = log.assumptions[-1][1]
    reason = f" by `{where.text}` ({where})" if where is not None else ""
    return TraceError(
        f"{name} cannot be traced: {what} was asked to vary, and is fixed to {size}{reason}",
        hint="leave that dimension out of dynamic_shapes, or give torch.export.Dim.AUTO to have it vary "
        "where it can; or write forward so that its size does not matter",
    )


def _path(text: str) -> str:
    """`['key'][0]` as `.key.0`."""
    return "".join(f".{part.strip(chr(39))}" for part in re.findall(r"\[([^\]]+)\]", text))
