"""Pipelines as text: `fold,cse{min_bytes=16},{fuse-conv,dce}*` and back.

An item is a pass name with options in braces, whose values may have options in braces of their own, a class
of a pass as `module:Class` or `file.py:Class` (see `graphopt.pipeline.named`), or a group in braces with a
star behind, which runs to a fixed point. Text says nothing of what passes do.
"""

from __future__ import annotations

import dataclasses
import json
import re
import typing
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import onnx_ir as ir

from graphopt.errors import UsageError
from graphopt.pipeline.base import Pass
from graphopt.pipeline.guests import import_guest, is_guest
from graphopt.pipeline.named import load_named, text_of

_LONGEST_QUOTED = 60
"""Characters of an item that a message quotes: a level is a text of hundreds of items."""
_LEVEL = re.compile(r"-O\d+")
_NESTED = re.compile(r"[^\s{}*,=\[\]\"]+\{[^{}\"]*\}")
"""Text with options of its own, as of an observer, that is read back as it stands."""
_TOKEN = re.compile(r"\s*(?:([{}*,=\[\]])|\"((?:[^\"\\]|\\.)*)\"|([^\s{}*,=\[\]\"]+))")


@dataclasses.dataclass(frozen=True)
class Group:
    """Items that run again until a round changes nothing.

    Attributes:
        items: Passes and groups.
        rounds: Bound on the number of rounds.
    """

    items: tuple[Item, ...]
    rounds: int = 10


Item = ir.passes.PassBase | Group
Catalog = Mapping[str, type[ir.passes.PassBase]]


def format_items(items: Sequence[Item]) -> str:
    """The text of a sequence of items."""
    return ",".join(format_item(item) for item in items)


def format_item(item: Item) -> str:
    """The text of one pass or group."""
    if isinstance(item, Group):
        bound = "" if item.rounds == Group.rounds else str(item.rounds)
        return f"{{{format_items(item.items)}}}*{bound}"
    if not isinstance(item, Pass):
        return _format_value(text_of(type(item)))
    options = [
        f"{field.name}={_format_value(getattr(item, field.name))}"
        for field in dataclasses.fields(item)
        if getattr(item, field.name) != field.default
    ]
    return item.name + (f"{{{','.join(options)}}}" if options else "")


def parse_items(text: str, catalog: Catalog) -> tuple[Item, ...]:
    """The items that a text stands for.

    Args:
        text: For example `inline,fold{max_growth=0},{fuse-conv,dce}*`.
        catalog: Pass name -> class.

    Raises:
        UsageError: The text is malformed, a pass is unknown, or an option does not fit; it says where.
    """
    parser = _Parser(text, catalog)
    items = parser.items(closing=None)
    return tuple(items)


class _Parser:
    def __init__(self, text: str, catalog: Catalog) -> None:
        self._text = text
        self._catalog = catalog
        self._spans: list[tuple[int, int]] = []
        self._tokens = list(self._tokenize(text))
        self._at = 0
        self._begin = 0

    def _tokenize(self, text: str) -> typing.Iterator[tuple[str, str]]:
        position = 0
        end = len(text.rstrip())
        while position < end:
            match = _TOKEN.match(text, position)
            if match is None:
                raise UsageError(f"pipeline: cannot read from {text[position : position + 20]!r} on")
            position = match.end()
            sign, quoted, word = match.groups()
            self._spans.append((match.end() - len(match[0].lstrip()), position))
            yield (
                ("sign", sign)
                if sign
                else ("text", json.loads(f'"{quoted}"'))
                if word is None
                else ("word", word)
            )

    def items(self, closing: str | None) -> list[Item]:
        found: list[Item] = []
        while self._peek() not in (None, ("sign", closing)):
            self._begin = self._at
            found.append(self._item())
            if self._peek() == ("sign", ","):
                self._next()
            elif self._peek() not in (None, ("sign", closing)):
                raise self._error("expected a comma")
        return found

    def _item(self) -> Item:
        kind, text = self._next()
        if (kind, text) == ("sign", "{"):
            inner = tuple(self.items(closing="}"))
            self._expect("}")
            self._expect("*")
            following = self._peek()
            if following is not None and following[0] == "word" and following[1].isdigit():
                return Group(inner, int(self._next()[1]))
            return Group(inner)
        if kind == "sign":
            raise self._error(f"expected a pass name, found {text!r}")
        options: dict[str, Any] = {}
        if self._peek() == ("sign", "{"):
            self._next()
            options = self._options()
        return make_pass(text, options, self._catalog)

    def _options(self) -> dict[str, Any]:
        options: dict[str, Any] = {}
        while self._peek() != ("sign", "}"):
            _, name = self._next()
            self._expect("=")
            options[name] = self._value()
            if self._peek() == ("sign", ","):
                self._next()
        self._expect("}")
        return options

    def _value(self) -> str | list[str]:
        if self._peek() != ("sign", "["):
            return self._text_value()
        self._next()
        elements = []
        while self._peek() != ("sign", "]"):
            elements.append(self._text_value())
            if self._peek() == ("sign", ","):
                self._next()
        self._expect("]")
        return elements

    def _text_value(self) -> str:
        """A word or a quoted text, or a word and options in braces, which are taken as they stand."""
        first = self._at
        kind, text = self._next()
        if kind != "word" or self._peek() != ("sign", "{"):
            return text
        depth = 0
        while True:
            token = self._next()
            depth += (token == ("sign", "{")) - (token == ("sign", "}"))
            if not depth:
                return self._text[self._spans[first][0] : self._spans[self._at - 1][1]]

    def _peek(self) -> tuple[str, str] | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _next(self) -> tuple[str, str]:
        token = self._peek()
        if token is None:
            raise self._error("it ends too early")
        self._at += 1
        return token

    def _expect(self, sign: str) -> None:
        if self._peek() != ("sign", sign):
            raise self._error(f"expected {sign!r}")
        self._at += 1

    def _error(self, what: str) -> UsageError:
        begin = self._spans[self._begin][0]
        end = self._spans[min(self._at, len(self._spans) - 1)][1]
        quoted = self._text[begin:end]
        if len(quoted) > _LONGEST_QUOTED:
            quoted = f"...{quoted[-_LONGEST_QUOTED:]}"
        return UsageError(
            f"pipeline, at {quoted!r}: {what}",
            hint="write it as NAME{option=value},{NAME,NAME}*; `graphopt passes` lists the names",
        )


def make_pass(name: str, options: Mapping[str, Any], catalog: Catalog) -> ir.passes.PassBase:
    """A pass from its name and its options as text or values.

    Raises:
        UsageError: The name or an option is unknown, or a value does not fit.
    """
    found = catalog.get(name) or _foreign(name)
    if found is None and _LEVEL.fullmatch(name):
        raise UsageError(
            f"there is no pass {name!r}",
            hint="-O0 to -O2 stand for levels in what optimize is given: optimize(model, passes='-O2,dce'); "
            "graphopt.compile.pipeline_for(2, '-O2,dce', ()) makes a Pipeline of it",
        )
    if found is None:
        raise UsageError(
            f"there is no pass {name!r}{_nearest(name, catalog)}", hint="`graphopt passes` lists them"
        )
    if not issubclass(found, Pass):
        if options:
            raise UsageError(f"pass {name!r} takes no options here")
        return _made(name, found, {})
    if not dataclasses.is_dataclass(found):
        raise UsageError(f"the pass {name!r} is no dataclass", hint="its plug-in has to declare it as one")
    types = typing.get_type_hints(found) if options else {}
    fields = {field.name for field in dataclasses.fields(found)}
    for option in options:
        if option not in fields:
            known = ", ".join(sorted(fields)) or "none"
            raise UsageError(
                f"pass {name!r} has no option {option!r}; it has: {known}{_nearest(option, sorted(fields))}"
            )
    values = {option: _parse_value(name, option, value, types[option]) for option, value in options.items()}
    return _made(name, found, values)


def _made(name: str, found: type[ir.passes.PassBase], options: dict[str, Any]) -> ir.passes.PassBase:
    if not is_guest(found):
        return found(**options)
    try:
        return import_guest(lambda: found(**options))
    except ImportError as error:
        raise UsageError(f"the pass {name!r} cannot be made: {error}") from error


def _foreign(name: str) -> type[ir.passes.PassBase] | None:
    if ":" not in name:
        return None
    found = load_named(name)
    if not (isinstance(found, type) and issubclass(found, ir.passes.PassBase)):
        raise UsageError(f"{name!r} is not an onnx_ir pass")
    return found


def _nearest(name: str, known: Iterable[str]) -> str:
    """What may have been meant: a name that begins so, or is spelt much like it."""
    import difflib

    names = list(known)
    begun = [each for each in names if name and each.startswith(name)]
    close = begun or difflib.get_close_matches(name, names, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _format_value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return f"[{','.join(_format_value(element) for element in value)}]"
    if isinstance(value, str):
        plain = _TOKEN.fullmatch(value)
        is_word = plain is not None and plain.group(3) == value
        return value if is_word or _NESTED.fullmatch(value) else json.dumps(value)
    return repr(value)


def _parse_value(name: str, option: str, value: Any, kind: Any) -> Any:
    origin = typing.get_origin(kind)
    try:
        if origin is tuple:
            elements = value if isinstance(value, (list, tuple)) else [value]
            return tuple(
                _parse_value(name, option, element, typing.get_args(kind)[0]) for element in elements
            )
        if not isinstance(value, str) or kind is str:
            return value
        if kind is bool:
            return {"true": True, "false": False, "1": True, "0": False}[value.lower()]
        return kind(value)
    except (KeyError, ValueError, TypeError) as error:
        expected = getattr(kind, "__name__", str(kind))
        raise UsageError(f"pass {name!r}: option {option!r} is {value!r}, expected {expected}") from error
