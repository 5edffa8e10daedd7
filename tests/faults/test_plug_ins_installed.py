"""Plug-ins that are installed and broken: each is left out and named, and all other passes are there."""

from __future__ import annotations

import importlib
import sys
import textwrap
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import onnx_ir as ir
import pytest

from graphopt.errors import UsageError
from graphopt.pipeline import Pipeline, default_catalog

Catalog = Mapping[str, type[ir.passes.PassBase]]
Install = Callable[..., tuple[Catalog, list[str]]]

HARMLESS = """
    import dataclasses
    from graphopt.pipeline import Pass

    @dataclasses.dataclass(frozen=True)
    class Harmless(Pass):
        '''Do nothing.'''
        name = "{name}"
        def apply(self, model, changes):
            pass
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Installs a package of one module `broken`, as pip would; the catalog then, and what was warned of."""

    def install(code: str, entry: str = "Harmless", points: bytes | None = None) -> tuple[Catalog, list[str]]:
        (tmp_path / "broken.py").write_text(textwrap.dedent(code))
        metadata = tmp_path / "broken-1.0.dist-info"
        metadata.mkdir(exist_ok=True)
        (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
        written = f"[graphopt.passes]\nbroken = broken:{entry}\n".encode()
        (metadata / "entry_points.txt").write_bytes(written if points is None else points)
        monkeypatch.syspath_prepend(str(tmp_path))
        importlib.invalidate_caches()
        default_catalog.cache_clear()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            catalog = default_catalog()
        return catalog, [str(each.message) for each in caught if each.category is UserWarning]

    yield install
    sys.modules.pop("broken", None)
    default_catalog.cache_clear()


def test_a_sound_one_is_there(install: Install) -> None:
    catalog, warned = install(HARMLESS.format(name="harmless"))
    assert "harmless" in catalog and warned == []
    assert str(Pipeline.parse("harmless,dce")) == "harmless,dce"


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("def (", "SyntaxError: invalid syntax (broken.py, line 1)"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("import sys; sys.exit(0)", "SystemExit: 0"),
        ("raise BaseException", "BaseException"),
        ("raise MemoryError", "MemoryError"),
        ("x = 1", "AttributeError: module 'broken' has no attribute 'Harmless'"),
        ("Harmless = 3", "TypeError: 'int' object is not iterable"),
        ("Harmless = [3]", "TypeError: 3 is not a pass class"),
        ("class Harmless: pass", "TypeError: <class 'broken.Harmless'> is not a pass class"),
    ],
)
def test_fails_on_import(install: Install, code: str, reason: str) -> None:
    catalog, warned = install(code)
    assert warned == [f"the plug-in 'broken' (broken:Harmless) is left out: {reason}"]
    assert "fold" in catalog


def test_hangs_on_import(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphopt.pipeline.guests.IMPORT_SECONDS", 0.2)
    _, warned = install("import time; time.sleep(600)")
    assert warned == ["the plug-in 'broken' (broken:Harmless) is left out: it was stopped after 0.2 s"]


def test_ctrl_c_on_import(install: Install) -> None:
    with pytest.raises(KeyboardInterrupt):
        install("raise KeyboardInterrupt")


def test_takes_no_built_in_name(install: Install) -> None:
    catalog, (warned,) = install(HARMLESS.format(name="fold"))
    assert catalog["fold"].__module__ == "graphopt.passes.folding.fold"
    assert warned == (
        "the pass 'fold' of the plug-in 'broken' is left out: "
        "there is one of that name in graphopt.passes.folding.fold"
    )


def test_metadata_that_is_no_text(install: Install) -> None:
    catalog, (warned,) = install("", points=b"[graphopt.passes]\n\xff\xfe = broken:Harmless\n")
    assert warned.startswith("plug-ins are left out, since a package is damaged: UnicodeDecodeError: ")
    assert "fold" in catalog


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("def __init__(self): raise ValueError('not today')", "cannot be made: ValueError: not today"),
        ("def __init__(self): raise SystemExit", "cannot be made: SystemExit"),
    ],
)
def test_cannot_be_made(install: Install, code: str, says: str) -> None:
    install(textwrap.dedent(HARMLESS.format(name="harmless")) + f"    {code}\n")
    with pytest.raises(UsageError, match=f"the pass 'harmless' {says}"):
        Pipeline.parse("harmless")


def test_named_by_its_module(plug_ins: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "exits.py").write_text("raise SystemExit(0)")
    with pytest.raises(UsageError, match="cannot load the pass 'exits:Pass': SystemExit: 0"):
        Pipeline.parse("exits:Pass")
