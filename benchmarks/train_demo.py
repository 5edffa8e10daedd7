"""Trains the network that ships in `graphopt.demo` and exports it as untidily as exporters do.

    python benchmarks/train_demo.py

Needs torch and scikit-learn. The committed files are what ships; another torch trains other weights.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn

FOLDER = Path(__file__).resolve().parents[1] / "graphopt" / "demo"
SEED = 7
TEST_IMAGES = 500
EPOCHS = 60
ENOUGH = 0.97


def hard_swish(x: torch.Tensor) -> torch.Tensor:
    """x * min(max(x + 3, 0), 6) / 6, spelled out as older model code does."""
    return x * nn.functional.relu6(x + 3) / 6


class DigitNet(nn.Module):  # type: ignore[misc]  # torch is untyped to mypy
    """A small residual CNN with squeeze-and-excitation; images float32 [N, 1, 8, 8] with values 0 to 16."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16))
        self.expand = nn.Sequential(nn.Conv2d(16, 48, 1, bias=False), nn.BatchNorm2d(48))
        self.depthwise = nn.Sequential(
            nn.Conv2d(48, 48, 3, padding=1, groups=48, bias=False), nn.BatchNorm2d(48)
        )
        self.squeeze = nn.Linear(48, 12)
        self.excite = nn.Linear(12, 48)
        self.project = nn.Sequential(nn.Conv2d(48, 16, 1, bias=False), nn.BatchNorm2d(16), nn.Identity())
        self.down = nn.Sequential(nn.Conv2d(16, 32, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(32))
        self.head = nn.Sequential(
            nn.Linear(512, 48), nn.BatchNorm1d(48), nn.ReLU(), nn.Dropout(0.3), nn.Linear(48, 10)
        )

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Class probabilities, float32 [N, 10]."""
        x = hard_swish(self.stem((image / 16 - 0.5) / 0.5))
        y = hard_swish(self.expand(x))
        y = hard_swish(self.depthwise(y))
        gate = torch.sigmoid(self.excite(torch.relu(self.squeeze(y.mean((2, 3))))))
        y = y * gate.view(gate.size(0), gate.size(1), 1, 1)
        x = x + self.project(y)
        x = hard_swish(self.down(x))
        return torch.softmax(self.head(x.view(x.size(0), -1)), dim=1)


def train(images: np.ndarray, labels: np.ndarray) -> DigitNet:
    """Train on images float32 [N, 1, 8, 8] and labels int64 [N], shifting them by up to one pixel."""
    network = DigitNet()
    network.train()
    x, target = torch.from_numpy(images), torch.from_numpy(labels)
    optimizer = torch.optim.AdamW(network.parameters(), lr=4e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(x)).split(64):
            down, right = torch.randint(-1, 2, (2,)).tolist()
            shifted = torch.roll(x[batch], (down, right), (2, 3))
            loss = nn.functional.nll_loss(torch.log(network(shifted) + 1e-9), target[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        schedule.step()
    network.eval()
    return network


def export(network: DigitNet, target: Path) -> None:
    """Write opset 17 with nothing folded: BatchNormalization kept, shapes computed, dynamic batch."""
    with warnings.catch_warnings():
        # The TorchScript exporter is deprecated; it is wanted here for what it leaves undone.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            (torch.zeros(2, 1, 8, 8),),
            str(target),
            dynamo=False,
            opset_version=17,
            training=torch.onnx.TrainingMode.PRESERVE,
            do_constant_folding=False,
            input_names=["image"],
            output_names=["probability"],
            dynamic_axes={"image": {0: "batch"}, "probability": {0: "batch"}},
        )


def main() -> int:
    """Train, report the accuracy on the held-out images, write both files; 1 if it is not good enough."""
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    digits = load_digits()
    order = np.random.default_rng(SEED).permutation(len(digits.target))
    images = digits.images[order].astype(np.float32)[:, None]
    labels = digits.target[order].astype(np.int64)
    network = train(images[TEST_IMAGES:], labels[TEST_IMAGES:])
    with torch.no_grad():
        answers = network(torch.from_numpy(images[:TEST_IMAGES])).argmax(1).numpy()
    accuracy = float((answers == labels[:TEST_IMAGES]).mean())
    print(f"accuracy on {TEST_IMAGES} held-out images: {accuracy:.4f}")
    if accuracy < ENOUGH:
        print(f"error: less than {ENOUGH}; nothing written", file=sys.stderr)
        return 1
    export(network, FOLDER / "digits.onnx")
    np.savez_compressed(
        FOLDER / "digits_test.npz",
        images=images[:TEST_IMAGES].astype(np.uint8),
        labels=labels[:TEST_IMAGES].astype(np.uint8),
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
