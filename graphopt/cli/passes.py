"""`graphopt passes [NAME]`: which passes there are, and all about one of them."""

from __future__ import annotations

import dataclasses
import inspect
import sys
import typing
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from graphopt.cli.console import show, show_json
from graphopt.cli.guard import OK, guarded
from graphopt.cli.options import DebugOption, JsonOption

if TYPE_CHECKING:
    import onnx_ir as ir
    from rich.console import RenderableType

_BUILT_IN = "graphopt.passes."


@guarded
def command(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME]",
            help="A pass, also as module:Class or file.py:Class; without it, all are listed.",
            show_default=False,
        ),
    ] = None,
    json: JsonOption = False,
    debug: DebugOption = False,
) -> int:
    """List the passes, or explain one and its options."""
    from graphopt.pipeline import default_catalog, make_pass

    catalog = default_catalog()
    if name is None:
        if json:
            show_json([_describe(each, found) for each, found in catalog.items()])
        else:
            show(*_overview(catalog))
        return OK
    found = type(make_pass(name, {}, catalog))
    if json:
        show_json(_describe(name, found))
    else:
        show(*_about(_describe(name, found)))
    return OK


def _describe(name: str, found: type[ir.passes.PassBase]) -> dict[str, Any]:
    """Everything that can be told about a pass, as plain values."""
    from graphopt.pipeline import Pass

    ours = found if issubclass(found, Pass) else None
    return {
        "name": name,
        "group": _group(found),
        "summary": (inspect.getdoc(found) or "").partition("\n")[0],
        "exact": ours is not None and ours.exact,
        "lossy": ours is not None and ours.lossy,
        "description": inspect.cleandoc(sys.modules[found.__module__].__doc__ or inspect.getdoc(found) or ""),
        "rules": [{"name": rule.name, "summary": rule.summary} for rule in getattr(found, "rules", ())],
        "options": [] if ours is None else list(_options(ours)),
        "class": f"{found.__module__}:{found.__qualname__}",
    }


def _group(found: type) -> str:
    module = found.__module__
    return (
        module.removeprefix(_BUILT_IN).partition(".")[0] if module.startswith(_BUILT_IN) else f"from {module}"
    )


def _options(found: type) -> Iterator[dict[str, Any]]:
    types = typing.get_type_hints(found)
    for field in dataclasses.fields(found):
        kind = types[field.name]
        yield {
            "name": field.name,
            "type": kind.__name__ if isinstance(kind, type) and not typing.get_args(kind) else str(kind),
            "default": field.default,
            "help": _documented(found, field.name),
        }


def _documented(found: type, name: str) -> str:
    """What the `Attributes:` section of a docstring says about a field, on one line."""
    words: list[str] = []
    for line in (inspect.getdoc(found) or "").partition("Attributes:\n")[2].splitlines():
        indent = len(line) - len(line.lstrip())
        if indent == 4 and line.strip().partition(":")[0] == name:
            words = [line.strip().partition(":")[2]]
        elif words and indent > 4:
            words.append(line)
        elif words:
            break
    return " ".join(word.strip() for word in words)


def _overview(catalog: Mapping[str, type[ir.passes.PassBase]]) -> Iterator[RenderableType]:
    from graphopt.report.layout import columns, heading

    described = [_describe(name, found) for name, found in catalog.items()]
    table = columns("pass", "exact", "what it does")
    for group in dict.fromkeys(sorted(each["group"] for each in described)):
        table.add_row(heading(group))
        for each in described:
            if each["group"] == group:
                exact = "yes" if each["exact"] else "lossy" if each["lossy"] else ""
                table.add_row(f"  {each['name']}", exact, each["summary"])
    yield table
    yield ""
    yield "exact: every output stays the same, bit for bit; lossy: numbers take fewer bits, or are left out."
    yield "`graphopt passes NAME` tells more."


def _about(described: Mapping[str, Any]) -> Iterator[RenderableType]:
    from graphopt.report.layout import columns

    exactness = "bit-exact" if described["exact"] else "within float tolerance"
    exactness = "lossy" if described["lossy"] else exactness
    yield f"{described['name']} ({described['group']}, {exactness})"
    yield ""
    yield described["description"]
    if described["rules"]:
        table = columns("rule", "what it does")
        for rule in described["rules"]:
            table.add_row(f"{rule['name']}", rule["summary"])
        yield ""
        yield table
    if described["options"]:
        table = columns("option", "type", "default", "meaning")
        for option in described["options"]:
            table.add_row(option["name"], option["type"], str(option["default"]), option["help"])
        yield ""
        yield table
