"""Graphs as exporters write them: small networks with random weights, exported in every way into a cache.

    python benchmarks/exporters.py [--list] [NAME...]

Each network is drawn once from a fixed seed and exported by torch's two exporters (optimized or not, fixed or
dynamic sizes, float32 or float16) or by skl2onnx. The cache is the folder `exporters` of the zoo's. Downloads
nothing.
"""

from __future__ import annotations

import argparse
import importlib.util
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import zoo
from zoo_inputs import Arrays
from zoo_wheels import ZooError, replacing

LAYERS, HEADS, GROUPS, HIDDEN, HEAD_SIZE, VOCABULARY = 2, 4, 2, 64, 16, 100
"""Sizes of every transformer here; GROUPS: heads of keys and values where several queries share them."""
IMAGE_SIZE, PATCH_SIZE = 32, 8
MEL_BINS, AUDIO_FRAMES = 16, 40
FEATURES = 10
"""Columns of the tables that the scikit-learn models read."""

Binding = Mapping[str, int]
LENGTHS: tuple[Binding, ...] = ({"batch": 2, "length": 9}, {"batch": 1, "length": 5})
CACHED: tuple[Binding, ...] = (
    {"batch": 2, "length": 3, "past": 6},
    {"batch": 1, "length": 1, "past": 4},
    {"batch": 1, "length": 5, "past": 0},
)


@dataclass(frozen=True)
class Network:
    """A network before export.

    Attributes:
        name: Its name.
        needs: Modules that exporting it takes.
        make_input: `make_input(rng, **binding)`: the named arrays of one run.
        bindings: Sizes worth running; the first one is exported, the others need dynamic sizes.
        axes: Names of the dynamic dimensions of each input.
        norms: Normalizations in it.
        attentions: Scaled dot product attentions in it.
        activations: Smooth activations in it.
    """

    name: str
    needs: tuple[str, ...]
    make_input: Callable[..., Arrays]
    bindings: tuple[Binding, ...] = ({},)
    axes: Mapping[str, Mapping[int, str]] | None = None
    norms: int = 0
    attentions: int = 0
    activations: int = 0


@dataclass(frozen=True)
class Export:
    """One way of exporting a network.

    Attributes:
        network: What is exported.
        exporter: `dynamo`, `script` (torch) or `skl2onnx`.
        optimize: torch's exporter optimizes what it writes.
        dynamic: The named dimensions are dynamic.
        half: Weights and floating-point inputs are float16.
        eager: Attention is spelled in tensor operations, not one call.
    """

    network: Network
    exporter: str
    optimize: bool = False
    dynamic: bool = False
    half: bool = False
    eager: bool = False

    @property
    def name(self) -> str:
        """`network-exporter` and what differs from the plain export."""
        flags = [flag for flag in ("optimize", "dynamic", "half", "eager") if getattr(self, flag)]
        return "-".join([self.network.name, self.exporter, *flags])

    def path(self) -> Path:
        """The model's file, exported first where it must be. Raises `ZooError`."""
        target = cache() / f"{self.name}.onnx"
        if not target.exists():
            missing = [module for module in self.network.needs if importlib.util.find_spec(module) is None]
            if missing:
                hint = "pip install 'graphopt[benchmarks]'"
                raise ZooError(f"exporting {self.name} needs {', '.join(missing)}: {hint}")
            with replacing(target) as temporary:
                script = Path(__file__).with_name("exporters_make.py")
                command = [sys.executable, str(script), self.name, str(temporary)]
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                if done.returncode != 0:
                    raise ZooError(f"exporting {self.name} failed:\n{done.stderr.strip()}")
        return target

    def inputs(self, seed: int = 0) -> list[Arrays]:
        """The named arrays of one run for each size that the export takes."""
        bindings = self.network.bindings if self.dynamic else self.network.bindings[:1]
        sets = [
            self.network.make_input(np.random.default_rng([seed, index]), **binding)
            for index, binding in enumerate(bindings)
        ]
        return [{name: self._cast(array) for name, array in arrays.items()} for arrays in sets]

    def _cast(self, array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        return array.astype(np.float16) if self.half and array.dtype == np.float32 else array


def cache() -> Path:
    """The folder of exported models (not created by asking)."""
    return zoo.cache() / "exporters"


def tokens(rng: np.random.Generator, batch: int, length: int) -> Arrays:
    """`input_ids` and `attention_mask`, int64 [batch, length]; the last row is padded at the right."""
    mask = np.ones((batch, length), dtype=np.int64)
    mask[-1, length - 2 :] = 0
    return {"input_ids": rng.integers(1, VOCABULARY, (batch, length)), "attention_mask": mask}


def tokens_with_past(rng: np.random.Generator, batch: int, length: int, past: int, heads: int) -> Arrays:
    """New tokens int64 [batch, length], mask [batch, past + length], keys and values of each layer.

    The latter are float32 [batch, heads, past, HEAD_SIZE]; the last row is padded at the left.
    """
    mask = np.ones((batch, past + length), dtype=np.int64)
    mask[-1, : min(2, past)] = 0
    feed = {"input_ids": rng.integers(1, VOCABULARY, (batch, length)), "attention_mask": mask}
    for layer in range(LAYERS):
        for kind in ("key", "value"):
            states = rng.standard_normal((batch, heads, past, HEAD_SIZE))
            feed[f"past_{kind}_{layer}"] = states.astype(np.float32)
    return feed


def image(rng: np.random.Generator, batch: int) -> Arrays:
    """`pixel_values` float32 [batch, 3, IMAGE_SIZE, IMAGE_SIZE]."""
    return {"pixel_values": rng.standard_normal((batch, 3, IMAGE_SIZE, IMAGE_SIZE)).astype(np.float32)}


def audio(rng: np.random.Generator, batch: int) -> Arrays:
    """`input_features` float32 [batch, MEL_BINS, AUDIO_FRAMES]."""
    return {"input_features": rng.standard_normal((batch, MEL_BINS, AUDIO_FRAMES)).astype(np.float32)}


def decoder_tokens(rng: np.random.Generator, batch: int, length: int) -> Arrays:
    """What a decoder reads: its tokens so far, and seven encoded states with their mask."""
    encoded = rng.standard_normal((batch, 7, HIDDEN)).astype(np.float32)
    mask = np.ones((batch, 7), dtype=np.int64)
    mask[-1, 5:] = 0
    ids = rng.integers(1, VOCABULARY, (batch, length))
    return {"input_ids": ids, "encoder_hidden_states": encoded, "encoder_attention_mask": mask}


def table(rng: np.random.Generator, rows: int = 4) -> Arrays:
    """`X` float32 [rows, FEATURES]."""
    return {"X": rng.standard_normal((rows, FEATURES)).astype(np.float32)}


def _token_axes(*, past: bool = False) -> dict[str, dict[int, str]]:
    axes = {"input_ids": {0: "batch", 1: "length"}}
    axes["attention_mask"] = {0: "batch", 1: "total" if past else "length"}
    if past:
        names = [f"past_{kind}_{layer}" for layer in range(LAYERS) for kind in ("key", "value")]
        axes.update({name: {0: "batch", 2: "past"} for name in names})
    return axes


_BATCH: tuple[Binding, ...] = ({"batch": 2}, {"batch": 1})
_TORCH = ("torch", "transformers", "onnxscript")
_SKLEARN = ("sklearn", "skl2onnx")

TRANSFORMERS = {
    network.name: network
    for network in (
        Network("bert", _TORCH, tokens, LENGTHS, _token_axes(), norms=5, attentions=2, activations=2),
        Network("gpt2", _TORCH, tokens, LENGTHS, _token_axes(), norms=5, attentions=2, activations=2),
        Network(
            "gpt2-past",
            _TORCH,
            partial(tokens_with_past, heads=HEADS),
            CACHED,
            _token_axes(past=True),
            norms=5,
            attentions=2,
            activations=2,
        ),
        Network(
            "llama",
            _TORCH,
            partial(tokens_with_past, heads=GROUPS),
            CACHED,
            _token_axes(past=True),
            norms=5,
            attentions=2,
            activations=2,
        ),
        Network(
            "vit",
            _TORCH,
            image,
            _BATCH,
            {"pixel_values": {0: "batch"}},
            norms=5,
            attentions=2,
            activations=2,
        ),
        Network(
            "whisper-encoder",
            _TORCH,
            audio,
            _BATCH,
            {"input_features": {0: "batch"}},
            norms=5,
            attentions=2,
            activations=4,
        ),
        Network("t5-encoder", _TORCH, tokens, LENGTHS, _token_axes(), norms=5, attentions=2),
        Network(
            "t5-decoder",
            _TORCH,
            decoder_tokens,
            LENGTHS,
            {
                "input_ids": {0: "batch", 1: "length"},
                "encoder_hidden_states": {0: "batch"},
                "encoder_attention_mask": {0: "batch"},
            },
            norms=7,
            attentions=4,
        ),
    )
}

TABLES = {
    name: Network(name, _SKLEARN, table, ({"rows": 4}, {"rows": 1}), {"X": {0: "rows"}})
    for name in ("mlp-classifier", "scaled-mlp-regressor", "scaled-logistic", "gaussian-process", "pca-svc")
}


def _exports() -> dict[str, Export]:
    found = []
    for network in TRANSFORMERS.values():
        eager = network.name.startswith("t5")  # torch 2.13 fails on T5's other attention
        found += [
            Export(network, "dynamo", eager=eager),
            Export(network, "dynamo", optimize=True, eager=eager),
            Export(network, "dynamo", dynamic=True, eager=True),
            Export(network, "script"),
            Export(network, "script", dynamic=True),
        ]
        if not eager:
            found.append(Export(network, "dynamo", dynamic=True))
    for name in ("bert", "llama"):
        found.append(Export(TRANSFORMERS[name], "dynamo", half=True))
    found += [Export(network, "skl2onnx", dynamic=True) for network in TABLES.values()]
    return {export.name: export for export in found}


EXPORTS = _exports()
"""Every export by its name."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Export the named models (default: all), print a line for each; 1 if one could not be had."""
    parser = argparse.ArgumentParser(description="Export small networks and print where the models are.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="exports to make (default: all)")
    parser.add_argument("--list", action="store_true", help="only list the exports, make nothing")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.names if name not in EXPORTS]
    if unknown:
        parser.error(f"no export named {', '.join(unknown)}; there are {', '.join(EXPORTS)}")
    failed = False
    for name in options.names or EXPORTS:
        if options.list:
            print(name)
            continue
        try:
            path = EXPORTS[name].path()
        except ZooError as error:
            print(f"error: {name}: {error}", file=sys.stderr, flush=True)
            failed = True
        else:
            print(f"{name:36} {path.stat().st_size:11,} bytes  {path}", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
