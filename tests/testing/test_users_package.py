"""What a user does: a package with a pass, a test file of one function, pytest; as the README shows it."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import onnx
import pytest

README = Path(__file__).resolve().parents[2] / "README.md"
SEED = 0


def fence(name: str) -> str:
    """The file of that name in the README."""
    pattern = rf"^```python\n(# {re.escape(name)}\n.*?)^```$"
    (text,) = re.findall(pattern, README.read_text("utf-8"), flags=re.M | re.S)
    return str(text)


@pytest.fixture
def package(tmp_path: Path) -> Path:
    for name in ("my_passes.py", "test_my_passes.py"):
        (tmp_path / name).write_text(fence(name), "utf-8")
    return tmp_path


def pytest_in(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "ignore", *options]
    environment = {"PATH": "/usr/bin:/bin", "COLUMNS": "200"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_the_bug_is_found_reduced_and_seen_again(package: Path) -> None:
    ran = pytest_in(package, f"--graphopt-seed={SEED}")
    assert ran.returncode == 1, ran.stdout + ran.stderr
    assert "my_passes:MergeTransposes breaks '" in ran.stdout
    (file,) = (package / ".graphopt" / "failures").glob("test_merge_transposes-*.onnx")
    model = onnx.load(file)
    assert [node.op_type for node in model.graph.node] == ["Transpose", "Transpose"]
    assert str(file.relative_to(package)) in ran.stdout
    (line,) = {line for line in ran.stdout.splitlines() if line.startswith("graphopt check-pass")}
    again = subprocess.run(
        [sys.executable, "-m", *shlex.split(line)], cwd=package, capture_output=True, text=True, check=False
    )
    assert again.returncode == 1 and "MergeTransposes breaks '" in again.stdout, again.stdout + again.stderr


def test_the_pass_put_right_holds(package: Path) -> None:
    file = package / "my_passes.py"
    text = file.read_text("utf-8")
    file.write_text(text.replace("outer[axis] for axis in inner", "inner[axis] for axis in outer"), "utf-8")
    ran = pytest_in(package, "--graphopt-examples=30", f"--graphopt-seed={SEED}")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert not (package / ".graphopt").exists()


def test_a_package_in_a_folder_of_sources(tmp_path: Path) -> None:
    """Not installed, and found by pytest alone: the command names the file, and works as it is printed."""
    package = tmp_path / "src" / "nupasses"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "rules.py").write_text(fence("my_passes.py"), "utf-8")
    (package / "ours.py").write_text(
        "import dataclasses\nfrom .rules import MergeTransposes\n\n\n"
        "@dataclasses.dataclass(frozen=True)\nclass Ours(MergeTransposes):\n    pass\n",
        "utf-8",
    )
    (tmp_path / "pyproject.toml").write_text('[tool.pytest.ini_options]\npythonpath = ["src"]\n', "utf-8")
    text = fence("test_my_passes.py").replace("my_passes import MergeTransposes", "nupasses.ours import Ours")
    (tmp_path / "test_them.py").write_text(text.replace("MergeTransposes()", "Ours()"), "utf-8")
    ran = pytest_in(tmp_path, f"--graphopt-seed={SEED}")
    (line,) = {line for line in ran.stdout.splitlines() if line.startswith("graphopt check-pass")}
    assert line.startswith("graphopt check-pass src/nupasses/ours.py:Ours "), line
    again = subprocess.run(
        [sys.executable, "-m", *shlex.split(line)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert again.returncode == 1 and "ours.py:Ours breaks '" in again.stdout, again.stdout + again.stderr
