"""The arguments that commands share: their types, their help, and how their text is read."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any

import typer

from graphopt.errors import UsageError

_MODEL = "An ONNX file, or script.py:function."
ModelArgument = Annotated[Path, typer.Argument(metavar="MODEL", help=_MODEL, show_default=False)]
ShapeOption = Annotated[
    list[str],
    typer.Option(
        "--shape", metavar="NAME=1x3x224x224", help="Shape of an input; repeatable.", show_default=False
    ),
]
InputsOption = Annotated[
    Path | None,
    typer.Option(
        "--inputs",
        metavar="DATA",
        help="Your own inputs: an .npz file or a folder of them.",
        show_default=False,
    ),
]
ThreadsOption = Annotated[int, typer.Option("--threads", metavar="N", min=1, help="Threads of the runtime.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
DebugOption = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
LevelOption = Annotated[
    int,
    typer.Option(
        "-O", metavar="LEVEL", min=0, max=2, help="0 normalizes, 1 is bit-exact, 2 within tolerance."
    ),
]
PassesOption = Annotated[
    str | None,
    typer.Option(
        "--passes",
        metavar="SPEC",
        help="A pipeline instead of a level: names, module:Class, file.py:Class.",
        show_default=False,
    ),
]
PassTimeoutOption = Annotated[
    float | None,
    typer.Option(
        "--pass-timeout",
        metavar="SECONDS",
        min=0.001,
        help="Leave out a pass that runs longer; by default a minute and more for large models.",
        show_default=False,
    ),
]
SkipOption = Annotated[
    list[str],
    typer.Option("--skip", metavar="PASS", help="Leave a pass out; repeatable.", show_default=False),
]
TargetOption = Annotated[str, typer.Option("--target", metavar="T", help="What the model will run on.")]
OpsetOption = Annotated[
    str, typer.Option("--opset", metavar="N|auto|keep", help="Opset: N, or raised where a fusion needs it.")
]
RtolOption = Annotated[
    float | None,
    typer.Option(
        "--rtol",
        metavar="R",
        min=0.0,
        help="Relative tolerance; by default that of each type.",
        show_default=False,
    ),
]
AtolOption = Annotated[
    float | None,
    typer.Option(
        "--atol",
        metavar="A",
        min=0.0,
        help="Absolute tolerance; by default that of each type.",
        show_default=False,
    ),
]


CheckTimeoutOption = Annotated[
    float | None,
    typer.Option(
        "--check-timeout",
        metavar="SECONDS",
        min=0.0,
        help="Processor time of the check; by default 5 s and 1 s per MB of weights.",
        show_default=False,
    ),
]
MemoryLimitOption = Annotated[
    str | None,
    typer.Option(
        "--memory-limit",
        metavar="SIZE",
        help="Memory of a run of the check, like 4G; by default 384M and 4 times the weights.",
        show_default=False,
    ),
]
PruneOption = Annotated[
    str | None,
    typer.Option(
        "--prune",
        metavar="GOAL",
        help="Take channels out: macs=0.3 for 30% fewer, params=0.3 or latency=0.3.",
        show_default=False,
    ),
]
QuantizeOption = Annotated[
    str | None,
    typer.Option(
        "--quantize",
        metavar="SCHEME",
        help="int8, dynamic-int8, weight-int8, weight-int4, fp16, bf16 or auto.",
        show_default=False,
    ),
]
CalibrationOption = Annotated[
    str | None,
    typer.Option(
        "--calibration",
        metavar="DATA",
        help="Real inputs to fit and score with: a folder of .npz, an .npz, or 'synthetic'.",
        show_default=False,
    ),
]
MetricOption = Annotated[
    str | None,
    typer.Option(
        "--metric",
        metavar="M",
        help="What accuracy is told in: top-1, cosine, sqnr, ctc-text, or file.py:function.",
        show_default=False,
    ),
]
MaxDropOption = Annotated[
    float | None,
    typer.Option(
        "--max-drop",
        metavar="D",
        min=0.0,
        help="Most of the metric that may be lost; less is pruned, or layers stay in float, for it.",
        show_default=False,
    ),
]
TimeBudgetOption = Annotated[
    float | None,
    typer.Option(
        "--time-budget",
        metavar="SECONDS",
        min=0.0,
        help="Time to search for layers that should stay in float; by default 2 minutes.",
        show_default=False,
    ),
]

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def parse_size(text: str | None, option: str = "--memory-limit") -> int | None:
    """Bytes from texts like `4G`, `500 MB`, `1.5MiB` or `1000000`, in powers of 1024; fractions rounded down.

    Raises:
        UsageError: The text is not of that form.
    """
    if text is None:
        return None
    found = re.fullmatch(r"(\d{1,15}(?:\.\d{1,15})?)\s*([KMGT]?)(I?B)?", text.strip().upper(), re.ASCII)
    size = int(Fraction(found[1]) * _UNITS[found[2]]) if found else 0
    if not size:
        raise UsageError(f"{option} {text}: expected a size", hint=f"for example {option} 4G")
    return size


def parse_metric(text: str | None) -> Any:
    """A name of a metric as it is; the function that `file.py:function` or `module:function` names."""
    if text is None or ":" not in text:
        return text
    from graphopt.pipeline.named import load_named

    return load_named(text, "metric", "function")


def parse_shares(text: str, option: str) -> list[float]:
    """Numbers from a text like `0.25,0.5`; whoever gets them says which make sense.

    Raises:
        UsageError: The text is not of that form.
    """
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise UsageError(
            f"{option} {text}: expected shares between 0 and 1", hint=f"for example {option} 0.25,0.5"
        ) from None


def parse_shapes(texts: Iterable[str]) -> dict[str, list[int]] | None:
    """Input name -> shape from texts like `image=1x3x224x224`; `name=` is a scalar. None if there are none.

    Raises:
        UsageError: A text is not of that form, or names an input twice.
    """
    shapes: dict[str, list[int]] = {}
    for text in texts:
        name, equals, dims = text.rpartition("=")
        if not equals or not name:
            raise UsageError(
                f"--shape {text}: expected NAME=SIZES", hint="for example --shape image=1x3x224x224"
            )
        if name in shapes:
            raise UsageError(f"--shape {text}: the input {name!r} has a shape already")
        shapes[name] = [_dimension(text, part) for part in dims.replace(",", "x").split("x")] if dims else []
    return shapes or None


def _dimension(text: str, part: str) -> int:
    if not (part.isascii() and part.isdigit()):
        raise UsageError(
            f"--shape {text}: {part!r} is not a size", hint="for example --shape image=1x3x224x224"
        )
    if int(part) < 1:
        raise UsageError(f"--shape {text}: a size is at least 1")
    return int(part)


def default_output(model: Path) -> Path:
    """Where the optimized model goes unless the user says: beside what it was made from.

    `net.onnx` becomes `net.opt.onnx`, and `script.py:make_net` becomes `make_net.opt.onnx`.
    """
    from graphopt.compile.given import script_of

    script = script_of(model)
    if script is None:
        return model.with_suffix(".opt.onnx")
    file, function = script
    return file.with_name(f"{function}.opt.onnx")


def destination(path: Path) -> Path:
    """The file that an option names.

    Raises:
        UsageError: It is `-`: files appear whole or not at all, which a stream cannot.
    """
    if str(path) == "-":
        raise UsageError("cannot write to stdout", hint="name a file; ./- is a file of that name")
    return path


def parse_opset(text: str) -> int | str:
    """`auto`, `keep`, or an opset number.

    Raises:
        UsageError: The text is none of these.
    """
    if text in ("auto", "keep"):
        return text
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise UsageError(f"--opset {text}: expected a number, 'auto' or 'keep'")
    return int(text)
