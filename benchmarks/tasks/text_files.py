"""Files that are text: data, markup, configuration, letters, calendars, subtitles and prose."""

from __future__ import annotations

import csv
import difflib
import io
import json
import plistlib
from collections.abc import Sequence
from email.message import EmailMessage

import numpy as np

from tasks.content import Maker, name, prose, record, rows, sentence


def make_txt(rng: np.random.Generator, words: Sequence[str]) -> bytes:
    """Plain prose."""
    return prose(rng, words, 40).encode()


def make_csv(rng: np.random.Generator, words: Sequence[str]) -> bytes:
    """A table."""
    buffer = io.StringIO()
    csv.writer(buffer).writerows(rows(rng, words))
    return buffer.getvalue().encode()


def make_json(rng: np.random.Generator, words: Sequence[str]) -> bytes:
    """A list of records, indented."""
    indent = [1, 2, 4][int(rng.integers(3))]
    return json.dumps([record(rng, words) for _ in range(4)], indent=indent).encode()


def make_jsonl(rng: np.random.Generator, words: Sequence[str]) -> bytes:
    """A record a line."""
    keys = [f"{name(rng, words)}_{column}" for column in range(4)]
    lines = [
        json.dumps({key: [name(rng, words), int(rng.integers(999))][number % 2] for key in keys})
        for number in range(30)
    ]
    return ("\n".join(lines) + "\n").encode()


def make_xml(rng: np.random.Generator, words: Sequence[str]) -> bytes:
    """Records as elements."""
    item, field = name(rng, words), name(rng, words)
    body = "\n".join(
        f'  <{item} id="{number}">\n    <{field}>{sentence(rng, words)}</{field}>\n  </{item}>'
        for number in range(12)
    )
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<{item}s>\n{body}\n</{item}s>\n'.encode()


def make_html(rng: np.random.Generator, words: Sequence[str]) -> bytes:
    """A page with a heading, paragraphs, a table and a link."""
    title = name(rng, words)
    lines = ["".join(f"<td>{cell}</td>" for cell in row) for row in rows(rng, words, 6)]
    cells = "\n".join(f"<tr>{line}</tr>" for line in lines)
    paragraphs = "\n".join(f'<p class="{name(rng, words)}">{prose(rng, words, 4)}</p>' for _ in range(5))
    head = f'<head>\n<meta charset="utf-8">\n<title>{title}</title>\n</head>'
    body = f'<h1>{title}</h1>\n{paragraphs}\n<table>\n{cells}\n</table>\n<a href="/{title}">{title}</a>'
    return f'<!DOCTYPE html>\n<html lang="en">\n{head}\n<body>\n{body}\n</body>\n</html>\n'.encode()


def make_svg(rng: np.random.Generator, words: Sequence[str]) -> bytes:
    """Circles and lines."""
    shapes = []
    for _ in range(15):
        x, y, u, v = rng.integers(0, 300, 4)
        shapes.append(f'  <circle cx="{x}" cy="{y}" r="{u // 8 + 2}" fill="#{rng.integers(4096):03x}"/>')
        shapes.append(f'  <path d="M{x} {y} L{u} {v} Z" stroke="black" stroke-width="2"/>')
    space = 'xmlns="http://www.w3.org/2000/svg" width="300" height="300" viewBox="0 0 300 300"'
    drawn = "\n".join(shapes)
    return f"<svg {space}>\n  <title>{name(rng, words)}</title>\n{drawn}\n</svg>\n".encode()


def make_ini(rng: np.random.Generator, words: Sequence[str]) -> bytes:
    """Sections of keys."""
    parts = []
    for _ in range(5):
        keys = "\n".join(f"{name(rng, words)} = {name(rng, words)}" for _ in range(5))
        parts.append(f"[{name(rng, words)}]\n; {sentence(rng, words)}\n{keys}\n")
    return "\n".join(parts).encode()


def make_toml(rng: np.random.Generator, words: Sequence[str]) -> bytes:
    """Tables of keys, as a project's file has."""
    lines = [
        "[project]",
        f'name = "{name(rng, words)}"',
        f'version = "{rng.integers(9)}.{rng.integers(20)}.0"',
    ]
    lines.append(f'requires-python = ">=3.{rng.integers(8, 13)}"')
    lines.append(f'dependencies = ["{name(rng, words)}>=1", "{name(rng, words)}"]')
    for _ in range(4):
        lines += ["", f"[tool.{name(rng, words)}]", "enabled = true", f"limit = {rng.integers(99)}"]
        lines += [f'{name(rng, words)} = "{name(rng, words)}"' for _ in range(4)]
    return ("\n".join(lines) + "\n").encode()


def make_yaml(rng: np.random.Generator, words: Sequence[str]) -> bytes:
    """Nested keys and lists."""
    lines = ["---", "version: '3'"]
    for _ in range(6):
        lines += [f"{name(rng, words)}:", f"  {name(rng, words)}: {rng.integers(999)}"]
        lines += [f"  {name(rng, words)}:", *(f"    - {name(rng, words)}" for _ in range(4))]
        lines.append(f"  enabled: {'true' if rng.integers(2) else 'false'}")
    return ("\n".join(lines) + "\n").encode()


def make_eml(rng: np.random.Generator, words: Sequence[str]) -> bytes:
    """A letter with its header."""
    message = EmailMessage()
    message["From"] = f"{name(rng, words)}@example.org"
    message["To"] = f"{name(rng, words)}@example.com"
    message["Subject"] = sentence(rng, words)
    message["Date"] = f"Mon, {rng.integers(1, 29):02} Mar 2021 10:{rng.integers(10, 60)}:00 +0000"
    message["Message-ID"] = f"<{rng.integers(10**9)}@example.org>"
    message.set_content(prose(rng, words, 15))
    return message.as_bytes()


def make_diff(rng: np.random.Generator, words: Sequence[str]) -> bytes:
    """What changed between two versions of a source."""
    before = [f"    {name(rng, words)} = {name(rng, words)}({rng.integers(99)})" for _ in range(40)]
    after = list(before)
    for index in rng.integers(0, 40, 6):
        after[int(index)] = f"    return {name(rng, words)}"
    file = f"src/{name(rng, words)}.py"
    lines = difflib.unified_diff(before, after, f"a/{file}", f"b/{file}", lineterm="")
    return ("\n".join(lines) + "\n").encode()


def make_ics(rng: np.random.Generator, words: Sequence[str]) -> bytes:
    """A calendar of events."""
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", f"PRODID:-//{name(rng, words)}//EN"]
    for _ in range(8):
        lines += ["BEGIN:VEVENT", f"UID:{rng.integers(10**9)}@example.org"]
        lines.append(f"DTSTART:2021{rng.integers(1, 13):02}{rng.integers(1, 29):02}T100000Z")
        lines += [f"SUMMARY:{sentence(rng, words)}", "END:VEVENT"]
    return ("\r\n".join([*lines, "END:VCALENDAR"]) + "\r\n").encode()


def make_srt(rng: np.random.Generator, words: Sequence[str]) -> bytes:
    """Subtitles."""
    lines = []
    for number in range(1, 20):
        begin, end = sorted(int(value) for value in rng.integers(100, 999, 2))
        lines += [
            str(number),
            f"00:{number:02}:01,{begin} --> 00:{number:02}:04,{end}",
            sentence(rng, words),
            "",
        ]
    return "\n".join(lines).encode()


def make_rtf(rng: np.random.Generator, words: Sequence[str]) -> bytes:
    """Formatted text."""
    paragraphs = "".join(f"{{\\b {name(rng, words)}}} {prose(rng, words, 3)}\\par\n" for _ in range(8))
    fonts = "{\\fonttbl{\\f0 Times New Roman;}}"
    return f"{{\\rtf1\\ansi\\deff0{fonts}\n\\f0\\fs24 {paragraphs}}}\n".encode()


def make_plist(rng: np.random.Generator, words: Sequence[str]) -> bytes:
    """A record."""
    return plistlib.dumps(record(rng, words))


MADE: dict[str, Maker] = {
    "txt": make_txt,
    "csv": make_csv,
    "json": make_json,
    "jsonl": make_jsonl,
    "xml": make_xml,
    "html": make_html,
    "svg": make_svg,
    "ini": make_ini,
    "toml": make_toml,
    "yaml": make_yaml,
    "eml": make_eml,
    "diff": make_diff,
    "ics": make_ics,
    "srt": make_srt,
    "rtf": make_rtf,
    "appleplist": make_plist,
}
"""Makers by the type's name, as magika spells it."""
