from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.datasets.pictures import put_images
from tests.tensors.conftest import azure_out, local_out, moto_port, out, s3_out

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Store

__all__ = ["azure_out", "local_out", "moto_port", "out", "s3_out"]


@pytest.fixture
def train(local_store: Store) -> Path:
    """A folder of images, which is `disk://train/` too."""
    put_images(local_store)
    assert local_store.folder is not None
    return local_store.folder / "train"
