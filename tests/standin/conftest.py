"""These tests run in a process of their own, in which the stand-in is the accelerator: see test_devices.py."""

from __future__ import annotations

import os
from typing import Any

import pytest

if "JUPYTER_GPU_STANDIN" not in os.environ:
    collect_ignore_glob = ["test_*.py"]
else:
    from tests.standin import device

    _MODULE = device.load()


@pytest.fixture
def standin() -> Any:
    """The module `torch.standin`, its memory unlimited again afterwards."""
    yield _MODULE.library
    for index in range(2):
        _MODULE.library.standin_limit(index, 1 << 62)
