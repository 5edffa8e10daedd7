"""Networks built with torch, for tracing: random weights of a sensible scale, fixed by a seed.

`NETWORKS` holds them small enough for tests, `FULL_SIZE` at the sizes of their papers. Needs torch; downloads
nothing.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import networks_sequence as sequence
import networks_vision as vision
import torch
from torch import Tensor, nn

Sizes = Mapping[str, int]
Inputs = dict[str, Tensor]

SEED = 7
WORDS = 50
"""Tokens that every network of words knows."""


@dataclass(frozen=True)
class Case:
    """A network, what goes into it, and which of its sizes are free.

    Attributes:
        name: Its name.
        build: Makes the module; called with the seed set.
        make_input: `make_input(generator, **sizes)`: the arguments of `forward` by name.
        sizes: What it runs on; it is traced at the first.
        dynamic_shapes: Names of the free dimensions of each argument, as `graphopt.trace` takes them.
        needs: Modules besides torch that it takes.
    """

    name: str
    build: Callable[[], nn.Module]
    make_input: Callable[..., Inputs]
    sizes: tuple[Sizes, ...]
    dynamic_shapes: Mapping[str, Mapping[int, str]]
    needs: tuple[str, ...] = ()

    def missing(self) -> list[str]:
        """The modules of `needs` that are not installed."""
        return [module for module in self.needs if importlib.util.find_spec(module) is None]

    def module(self, dtype: torch.dtype = torch.float32) -> nn.Module:
        """The network in eval mode, the same at every call, its floats of `dtype`."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(SEED)
            module = self.build()
            _spread(module)
            _calibrate(module, self.inputs())
        return module.eval().to(dtype)

    def inputs(self, index: int = 0, dtype: torch.dtype = torch.float32, seed: int = SEED) -> Inputs:
        """Arguments of `forward` at `sizes[index]`, floats of `dtype`."""
        generator = torch.Generator().manual_seed(seed + index)
        made = self.make_input(generator, **self.sizes[index])
        return {name: each.to(dtype) if each.is_floating_point() else each for name, each in made.items()}


def _spread(module: nn.Module) -> None:
    """Move the scales and biases of normalizations, which start all alike, so that they show."""
    for each in module.modules():
        if "Norm" not in type(each).__name__:
            continue
        for name, parameter in each.named_parameters(recurse=False):
            moved = torch.randn_like(parameter) * 0.2
            parameter.data.copy_(parameter * (1 + moved) if name == "weight" else moved)


def _calibrate(module: nn.Module, inputs: Inputs) -> None:
    """Set running statistics to the inputs' own, then move them, so that folding them changes numbers.

    Statistics drawn at random would let the values of a deep network die out or grow without bounds.
    """
    norms = [each for each in module.modules() if isinstance(each, nn.modules.batchnorm._BatchNorm)]
    if not norms:
        return
    module.train()
    for norm in norms:
        norm.momentum = None
    with torch.no_grad():
        module(**inputs)
        for norm in norms:
            norm.momentum = 0.1
            deviation = norm.running_var.sqrt()
            norm.running_mean += 0.1 * deviation * torch.randn_like(deviation)
            norm.running_var *= 0.7 + 0.6 * torch.rand_like(deviation)


def image(generator: torch.Generator, batch: int, height: int, width: int) -> Inputs:
    """`image` [batch, 3, height, width]."""
    return {"image": torch.randn(batch, 3, height, width, generator=generator)}


def tokens(generator: torch.Generator, batch: int, length: int) -> Inputs:
    """`tokens` int64 [batch, length]."""
    return {"tokens": torch.randint(0, WORDS, (batch, length), generator=generator)}


def padded_tokens(generator: torch.Generator, batch: int, length: int) -> Inputs:
    """`ids` and `mask` int64 [batch, length]; the last row is padded at the right."""
    mask = torch.ones(batch, length, dtype=torch.int64)
    mask[-1, length - 2 :] = 0
    return {"ids": torch.randint(0, WORDS, (batch, length), generator=generator), "mask": mask}


def wave(generator: torch.Generator, batch: int, samples: int) -> Inputs:
    """`wave` [batch, 1, samples]."""
    return {"wave": torch.randn(batch, 1, samples, generator=generator)}


def stream(generator: torch.Generator, length: int, batch: int, features: int, width: int) -> Inputs:
    """`frames` [length, batch, features], `hidden` and `cell` [1, batch, width]."""
    return {
        "frames": torch.randn(length, batch, features, generator=generator),
        "hidden": torch.randn(1, batch, width, generator=generator).tanh(),
        "cell": torch.randn(1, batch, width, generator=generator),
    }


ANY_IMAGE = {"image": {0: "batch", 2: "height", 3: "width"}}
ANY_BATCH = {"image": {0: "batch"}}
ANY_TOKENS = {"tokens": {0: "batch", 1: "length"}}
ANY_PADDED = {"ids": {0: "batch", 1: "length"}, "mask": {0: "batch", 1: "length"}}
ANY_WAVE = {"wave": {0: "batch", 2: "samples"}}
ANY_STREAM = {"frames": {0: "length", 1: "batch"}, "hidden": {1: "batch"}, "cell": {1: "batch"}}


def _pictures(batch: int, height: int, width: int) -> tuple[Sizes, ...]:
    return (
        {"batch": batch, "height": height, "width": width},
        {"batch": batch + 1, "height": height + 32, "width": width - 16},
    )


def _squares(batch: int, size: int) -> tuple[Sizes, ...]:
    return tuple({"batch": batch + more, "height": size, "width": size} for more in range(2))


def _lengths(batch: int, length: int) -> tuple[Sizes, ...]:
    return {"batch": batch, "length": length}, {"batch": batch + 1, "length": length // 2 + 1}


def _by_name(*cases: Case) -> dict[str, Case]:
    return {case.name: case for case in cases}


_SMALL_PICTURE = _pictures(2, 48, 64)
_SMALL_TEXT = _lengths(2, 7)
_SMALL_STREAM: tuple[Sizes, ...] = (
    {"length": 5, "batch": 2, "features": 6, "width": 10},
    {"length": 3, "batch": 3, "features": 6, "width": 10},
)

NETWORKS = _by_name(
    Case("resnet-basic", vision.ResNet, image, _SMALL_PICTURE, ANY_IMAGE),
    Case("resnet-bottleneck", partial(vision.ResNet, vision.Bottleneck), image, _SMALL_PICTURE, ANY_IMAGE),
    Case(
        "mobilenet-v2",
        partial(vision.mobilenet_v2, vision.V2_SMALL, 8, 32, 10),
        image,
        _SMALL_PICTURE,
        ANY_IMAGE,
    ),
    Case(
        "mobilenet-v3",
        partial(vision.mobilenet_v3, vision.V3_SMALL, 8, 32, 24, 10),
        image,
        _SMALL_PICTURE,
        ANY_IMAGE,
    ),
    Case(
        "efficientnet",
        partial(vision.efficientnet, vision.EFFICIENT_SMALL, 8, 32, 10),
        image,
        _SMALL_PICTURE,
        ANY_IMAGE,
    ),
    Case("convnext", vision.ConvNeXt, image, _SMALL_PICTURE, ANY_IMAGE),
    Case("vit", vision.VisionTransformer, image, _squares(2, 32), ANY_BATCH),
    Case("unet", vision.UNet, image, _pictures(2, 20, 34), ANY_IMAGE),
    Case("lstm-tagger", sequence.Tagger, tokens, _SMALL_TEXT, ANY_TOKENS),
    Case("gru-tagger", partial(sequence.Tagger, nn.GRU), tokens, _SMALL_TEXT, ANY_TOKENS),
    Case("rnn-tagger", partial(sequence.Tagger, nn.RNN), tokens, _SMALL_TEXT, ANY_TOKENS),
    Case("speech-gate", sequence.SpeechGate, stream, _SMALL_STREAM, ANY_STREAM),
    Case("encoder", sequence.Encoder, padded_tokens, _SMALL_TEXT, ANY_PADDED),
    Case("llama", sequence.Llama, tokens, _SMALL_TEXT, ANY_TOKENS),
    Case(
        "llama-transformers", sequence.transformers_llama, tokens, _SMALL_TEXT, ANY_TOKENS, ("transformers",)
    ),
    Case(
        "audio",
        sequence.AudioNet,
        wave,
        ({"batch": 2, "samples": 96}, {"batch": 3, "samples": 122}),
        ANY_WAVE,
    ),
)

_PHOTO = _pictures(1, 224, 224)
_TEXT = _lengths(2, 48)
_LLAMA = {"words": 32000, "width": 288, "heads": 6, "groups": 2, "hidden": 768, "layers": 6}
"""Of a 15 M parameter model that tells children's stories."""

FULL_SIZE = _by_name(
    Case(
        "resnet-basic",
        partial(vision.ResNet, vision.BasicBlock, (2, 2, 2, 2), 64, 1000),
        image,
        _PHOTO,
        ANY_IMAGE,
    ),
    Case(
        "resnet-bottleneck",
        partial(vision.ResNet, vision.Bottleneck, (3, 4, 6, 3), 64, 1000),
        image,
        _PHOTO,
        ANY_IMAGE,
    ),
    Case(
        "mobilenet-v2",
        partial(vision.mobilenet_v2, vision.V2_TABLE, 32, 1280, 1000),
        image,
        _PHOTO,
        ANY_IMAGE,
    ),
    Case(
        "mobilenet-v3",
        partial(vision.mobilenet_v3, vision.V3_TABLE, 16, 960, 1280, 1000),
        image,
        _PHOTO,
        ANY_IMAGE,
    ),
    Case(
        "efficientnet",
        partial(vision.efficientnet, vision.EFFICIENT_TABLE, 32, 1280, 1000),
        image,
        _PHOTO,
        ANY_IMAGE,
    ),
    Case(
        "convnext",
        partial(vision.ConvNeXt, (3, 3, 9, 3), (96, 192, 384, 768), 1000),
        image,
        _PHOTO,
        ANY_IMAGE,
    ),
    Case(
        "vit",
        partial(vision.VisionTransformer, 224, 16, 384, 12, 6, 1000),
        image,
        _squares(1, 224),
        ANY_BATCH,
    ),
    Case("unet", partial(vision.UNet, 32, 4), image, _pictures(1, 144, 176), ANY_IMAGE),
    Case("lstm-tagger", partial(sequence.Tagger, nn.LSTM, 10000, 256), tokens, _TEXT, ANY_TOKENS),
    Case("gru-tagger", partial(sequence.Tagger, nn.GRU, 10000, 256), tokens, _TEXT, ANY_TOKENS),
    Case("rnn-tagger", partial(sequence.Tagger, nn.RNN, 10000, 256), tokens, _TEXT, ANY_TOKENS),
    Case(
        "speech-gate",
        partial(sequence.SpeechGate, 40, 128),
        partial(stream, features=40, width=128),
        ({"length": 50, "batch": 1}, {"length": 20, "batch": 2}),
        ANY_STREAM,
    ),
    Case("encoder", partial(sequence.Encoder, 30522, 384, 12, 6, 512), padded_tokens, _TEXT, ANY_PADDED),
    Case("llama", partial(sequence.Llama, **_LLAMA), tokens, _TEXT, ANY_TOKENS),
    Case(
        "llama-transformers",
        partial(sequence.transformers_llama, **_LLAMA),
        tokens,
        _TEXT,
        ANY_TOKENS,
        ("transformers",),
    ),
    Case(
        "audio",
        partial(sequence.AudioNet, 64, 8, 35),
        wave,
        ({"batch": 1, "samples": 16000}, {"batch": 2, "samples": 12002}),
        ANY_WAVE,
    ),
)
