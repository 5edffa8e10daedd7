"""Classes named as `module:name` or `file.py:name`: found from the current folder, and named so again."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from graphopt.errors import UsageError
from graphopt.pipeline import Pipeline
from graphopt.pipeline.named import load_named, place_of
from graphopt.testing import check_pass
from graphopt.testing.broken import ChangesNumbers

SWAP = textwrap.dedent("""
    import onnx_ir as ir
    {imports}

    class Swap(ir.passes.InPlacePass):
        def call(self, model):
            return ir.passes.PassResult(model, modified=False)
""")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder to stand in, of whose modules nothing is left afterwards."""
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for name in [name for name in sys.modules if name.partition(".")[0] in ("nupackage", "beside")]:
        del sys.modules[name]


def write(path: Path, imports: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(SWAP.format(imports=imports), "utf-8")


def package(folder: Path) -> None:
    """A package whose module takes from another in each way."""
    write(folder / "near.py", "from .helper import HELP\nfrom nupackage import helper")
    (folder / "helper.py").write_text("HELP = 1\n", "utf-8")
    (folder / "__init__.py").touch()


@pytest.mark.parametrize("text", ["nupackage.near:Swap", "nupackage/near.py:Swap"])
def test_a_package_below(here: Path, text: str) -> None:
    package(here / "nupackage")
    before = list(sys.path)
    pipeline = Pipeline.parse(f"dce,{text}")
    assert str(pipeline) == f"dce,{text}" and Pipeline.parse(str(pipeline)) is not pipeline
    assert sys.path == before
    assert place_of(load_named(text)) == "nupackage.near:Swap"


def test_a_package_in_another_folder(here: Path) -> None:
    package(here / "src" / "nupackage")
    text = "src/nupackage/near.py:Swap"
    found = load_named(text)
    assert found.__module__ == "nupackage.near" and load_named(text) is found
    assert place_of(found) == text
    assert place_of(load_named(str(here / text))) == text


def test_a_file_beside_its_helper(here: Path) -> None:
    write(here / "my passes" / "alone.py", "import beside")
    (here / "my passes" / "beside.py").touch()
    text = "my passes/alone.py:Swap"
    pipeline = Pipeline.parse(f'dce,"{text}"')
    assert str(pipeline) == f'dce,"{text}"' and str(Pipeline.parse(str(pipeline))) == str(pipeline)
    assert load_named(text) is load_named(text)
    assert place_of(load_named(text)) == text


def test_files_of_one_name(here: Path) -> None:
    for folder in ("one", "other"):
        write(here / folder / "near.py")
    one, other = load_named("one/near.py:Swap"), load_named("other/near.py:Swap")
    assert one is not other
    assert place_of(one) == "one/near.py:Swap" and place_of(other) == "other/near.py:Swap"


def test_a_package_of_a_name_that_is_taken(here: Path) -> None:
    write(here / "json" / "near.py")
    (here / "json" / "__init__.py").touch()
    found = load_named("json/near.py:Swap")
    assert place_of(found) == "json/near.py:Swap"
    assert "loads" in vars(sys.modules["json"])


def test_installed_ones_are_named_by_their_module(here: Path) -> None:
    assert place_of(ChangesNumbers) == "graphopt.testing.broken:ChangesNumbers"
    assert place_of(subprocess.Popen) == "subprocess:Popen"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("nowhere.near:Swap", "ModuleNotFoundError: No module named 'nowhere'"),
        ("nowhere.py:Swap", "there is no file"),
        ("wrong.py:Swap", "SyntaxError"),
        ("wrong:Swap", "SyntaxError"),
        ("near.py:Swop", "has no attribute 'Swop'"),
        (":Swap", "Empty module name"),
    ],
)
def test_what_cannot_be_loaded(here: Path, text: str, says: str) -> None:
    write(here / "near.py")
    (here / "wrong.py").write_text("def", "utf-8")
    for load in (load_named, Pipeline.parse):
        with pytest.raises(UsageError, match=says) as raised:
            load(text)
        assert raised.value.message.startswith(f"cannot load the pass {text!r}: ")
        assert "path/to/file.py:Class" in (raised.value.hint or "")


def test_the_command_of_a_failure(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package(here / "src" / "nupackage")
    near = here / "src" / "nupackage" / "near.py"
    near.write_text(near.read_text("utf-8").replace("return", "raise ValueError\n        return"), "utf-8")
    monkeypatch.syspath_prepend(here / "src")  # as pytest's pythonpath does
    from nupackage.near import Swap  # type: ignore[import-not-found]

    from graphopt.testing import PassFailure

    model = "main (float[2] x) => (float[2] y) { y = Neg(x) }"
    for what in (Swap(), Pipeline([Swap()]), Swap):
        with pytest.raises(PassFailure) as raised:
            check_pass(what, model)
        assert raised.value.what == "src/nupackage/near.py:Swap"
    row: Any = Pipeline.parse("{dce,fold}*3")
    with pytest.raises(PassFailure) as raised:
        check_pass(Pipeline([*row.items, Swap()]), model)
    assert raised.value.what == "{dce,fold}*3,src/nupackage/near.py:Swap"
