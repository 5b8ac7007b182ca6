"""Parameters of which `make test` takes some, and `make prove` all."""

from __future__ import annotations

from typing import Any

import pytest


def sampled(taken: list[Any], others: list[Any]) -> list[Any]:
    """Return all values; those of `others` are for `make prove`."""
    return [*taken, *(pytest.param(one, marks=pytest.mark.prove) for one in others)]
