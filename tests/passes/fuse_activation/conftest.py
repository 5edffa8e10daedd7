"""The pass for a target of its own."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def eager(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The pass for a target on which no operator is known to be slow."""
    path = tmp_path_factory.mktemp("target") / "eager.toml"
    path.write_text('name = "eager"\ndescription = "Takes every operator."\ndomains = [""]\n', "utf-8")
    return f'fuse-activation{{target="{path}"}}'
