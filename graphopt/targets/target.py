"""Targets: what the emitted model may contain and how fast its machine is assumed to be, read from TOML.

A target is data; this module only reads and checks it.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graphopt.cost import GENERIC, CodeRates, MachineRates
from graphopt.errors import UsageError
from graphopt.quant.rules import QuantizationRules

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_FOLDER = Path(__file__).parent
_KEYS = frozenset(
    {"name", "description", "domains", "fused_forms", "passes", "last_passes"}
    | {"fused_in_float", "quantization", "codes", "rates", "times"}
)
TIE = 1.03
"""Times closer than this are alike; the form of fewer nodes then stands."""


@dataclass(frozen=True)
class Target:
    """Where a model is going to run.

    Attributes:
        name: Its name.
        description: One line.
        domains: Operator domains that passes may add nodes of.
        fused_forms: Fused operators that passes may make, as `domain.Operator` or, in the standard's domain,
            `Operator`.
        passes: Text of the passes that rewrite into this target's own forms; empty where it has none.
        last_passes: Text of those that come after all others, behind quantizing too; empty where it has none.
        fused_in_float: Names of passes that fuse what runs on codes only in parts: left out where activations
            are to be codes.
        times: Time of a fused form over that of its cheapest spelling, measured in this runtime, by form.
        rates: Rates assumed where the machine was not measured.
        quantization: Which operators run on integer codes there, and when; None where the target says
            nothing of it.
        codes: What nodes take there on codes and in float; None where nobody measured it.
    """

    name: str
    description: str
    domains: tuple[str, ...]
    fused_forms: tuple[str, ...]
    passes: str
    last_passes: str
    times: Mapping[str, float]
    rates: MachineRates
    quantization: QuantizationRules | None = None
    codes: CodeRates | None = None
    fused_in_float: tuple[str, ...] = ()

    def pays(self, form: str) -> bool:
        """Whether a fused form takes no longer than its spelling; one that was not measured does not count
        as slower."""
        return self.times.get(form, 1.0) <= TIE

    @classmethod
    def load(cls, name: str) -> Target:
        """Read a target that ships with graphopt, or a TOML file.

        Args:
            name: A name from `known_targets()`, or a path that ends in `.toml`.

        Raises:
            UsageError: There is no such target, or its file is not one.
        """
        if name.endswith(".toml"):
            return _parse(Path(name))
        known = known_targets()
        if name not in known:
            raise UsageError(
                f"unknown target {name!r}",
                hint=f"known targets: {', '.join(known)}; or the path of a .toml file",
            )
        return _shipped(name)


def known_targets() -> list[str]:
    """Names of the targets that ship with graphopt."""
    return sorted(file.stem for file in _FOLDER.glob("*.toml"))


@functools.cache
def _shipped(name: str) -> Target:
    return _parse(_FOLDER / f"{name}.toml")


def _parse(path: Path) -> Target:
    try:
        plain = tomllib.loads(path.read_text("utf-8"))
        unknown = sorted(plain.keys() - _KEYS)
        if unknown:
            raise UsageError(
                f"{path}: unknown key {unknown[0]!r}", hint=f"known keys: {', '.join(sorted(_KEYS))}"
            )
        return Target(
            name=_text(plain["name"]),
            description=_text(plain["description"]),
            domains=tuple(_text(item) for item in plain["domains"]),
            fused_forms=tuple(_text(item) for item in plain.get("fused_forms", ())),
            passes=_text(plain.get("passes", "")),
            last_passes=_text(plain.get("last_passes", "")),
            times=_times(plain.get("times", {})),
            rates=MachineRates.from_dict(plain["rates"]) if "rates" in plain else GENERIC,
            quantization=_quantization(plain.get("quantization")),
            codes=_codes(plain.get("codes")),
            fused_in_float=tuple(_text(item) for item in plain.get("fused_in_float", ())),
        )
    except OSError as error:
        raise UsageError(f"target file {path} cannot be read: {error.strerror}") from error
    except KeyError as error:
        raise UsageError(f"{path}: key {error} is missing") from error
    except (TypeError, ValueError) as error:  # TOMLDecodeError and UnicodeDecodeError are ValueErrors
        raise UsageError(f"{path} is not a target file: {error}") from error


def _times(given: object) -> Mapping[str, float]:
    """The times of a table, or of the target that is named in its place."""
    if isinstance(given, str):
        return Target.load(given).times
    if not isinstance(given, dict):
        raise TypeError(f"times: expected a table or a target's name, found {given!r}")
    return {form: float(time) for form, time in given.items()}


def _quantization(given: object) -> QuantizationRules | None:
    """The rules of a table, or of the target that is named in its place; its key `like` names one for the
    rest."""
    if given is None:
        return None
    if isinstance(given, str):
        return Target.load(given).quantization
    if not isinstance(given, dict):
        raise TypeError(f"quantization: expected a table or a target's name, found {given!r}")
    return QuantizationRules.from_dict(_whole(given))


def _whole(given: dict[str, Any]) -> dict[str, Any]:
    """A table of rules, filled in from the one of the target that it is `like`."""
    if "like" not in given:
        return given
    like = _text(given["like"])
    if like not in known_targets():
        raise ValueError(f"quantization.like: no target is named {like!r}")
    base = _whole(tomllib.loads((_FOLDER / f"{like}.toml").read_text("utf-8"))["quantization"])
    own = {key: value for key, value in given.items() if key != "like"}
    return {**base, **own, "ops": {**base["ops"], **own.get("ops", {})}}


def _codes(given: object) -> CodeRates | None:
    """The rates of a table, or of the target named in its place; its key `like` names one for the rest."""
    if given is None:
        return None
    if isinstance(given, str):
        return Target.load(given).codes
    if not isinstance(given, dict):
        raise TypeError(f"codes: expected a table or a target's name, found {given!r}")
    base = Target.load(_text(given["like"])).codes if "like" in given else None
    return CodeRates.from_dict({key: value for key, value in given.items() if key != "like"}, base)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected a string, found {value!r}")
    return value
