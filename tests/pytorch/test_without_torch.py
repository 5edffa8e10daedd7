"""Without PyTorch everything else works, and what needs it says what to install."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

BLOCKER = """
    import importlib.util, sys

    class Blocker:
        def find_spec(self, name, path=None, target=None):
            if name.partition(".")[0] in blocked:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    find = importlib.util.find_spec
    importlib.util.find_spec = lambda name, package=None: None if name in blocked else find(name, package)
    sys.meta_path.insert(0, Blocker())
"""


def run(code: str, *blocked: str) -> subprocess.CompletedProcess[str]:
    """Run code in a process of its own, in which some packages are not to be had."""
    text = f"blocked = {blocked!r}\n{textwrap.dedent(BLOCKER)}\n{textwrap.dedent(code)}"
    return subprocess.run([sys.executable, "-c", text], capture_output=True, text=True)


def told(code: str, *blocked: str) -> str:
    """What code prints that shows the message and the hint of each error in a list of calls."""
    shown = f"""
    import graphopt
    for call in [{code}]:
        try:
            call()
        except graphopt.errors.UsageError as error:
            print(error.message, "|", error.hint)
    """
    ran = run(shown, *blocked)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_functions_say_what_to_install() -> None:
    code = "lambda: graphopt.trace(0, 0), lambda: graphopt.to_fx('model.onnx')"
    assert told(code, "torch").splitlines() == [
        'graphopt.trace needs PyTorch, which is not installed | pip install "graphopt[torch]"',
        'graphopt.to_fx needs PyTorch, which is not installed | pip install "graphopt[torch]"',
    ]
    assert "graphopt.trace needs onnxscript" in told("lambda: graphopt.trace(0, 0)", "onnxscript")


def test_scripts_and_forms_say_what_to_install() -> None:
    code = "lambda: graphopt.optimize('net.py:make'), lambda: graphopt.optimize('model.onnx', emit='fx')"
    assert told(code, "torch").splitlines() == [
        'net.py:make needs PyTorch, which is not installed | pip install "graphopt[torch]"',
        'emit="fx" needs PyTorch, which is not installed | pip install "graphopt[torch]"',
    ]


def test_the_command_says_what_to_install(tmp_path: Path) -> None:
    code = f"""
    import sys
    sys.argv = ["graphopt", "optimize", {str(tmp_path / "net.py:make")!r}]
    from graphopt.cli import main
    main()
    """
    ran = run(code, "torch")
    assert ran.returncode == 2
    assert ran.stdout == ""
    assert ran.stderr.splitlines()[1] == 'hint: pip install "graphopt[torch]"'


@pytest.mark.parametrize("blocked", [(), ("torch", "onnxscript")])
def test_models_need_no_torch(blocked: tuple[str, ...], tmp_path: Path) -> None:
    code = f"""
    import sys, graphopt
    from graphopt import demo
    result = graphopt.optimize(demo.load().model, measure=False, output={str(tmp_path / "out.onnx")!r})
    assert graphopt.check(demo.load().model, result.model).equal
    graphopt.cost(result.model), graphopt.Pipeline, graphopt.trace if blocked else None
    print(*sys.modules)
    """
    ran = run(code, *blocked)
    assert ran.returncode == 0, ran.stderr
    assert not {"torch", "onnxscript"} & set(ran.stdout.split())
