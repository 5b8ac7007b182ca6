"""A Zarr store in a bucket is read as one in a folder is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

import jupyter_gpu_ext as jg
from tests.tensors.zarr_stores import CORPUS, load, upload

if TYPE_CHECKING:
    from pathlib import Path

    from tests.storage.clouds import S3Store


@pytest.mark.parametrize("name", ["v2 missing chunks", "v3 sharded", "v3 sharded, index at the start"])
def test_corpus_on_s3(s3_store: S3Store, tmp_path: Path, name: str) -> None:
    expected = CORPUS[name](tmp_path / "written")
    upload(tmp_path / "written", s3_store, "deep/store.zarr")
    np.testing.assert_array_equal(load("bucket://deep/store.zarr")["store.zarr"], expected)
    tensor = jg.load("bucket://deep/store.zarr", device="cpu", select="1:, ::-1", dtype="float64")
    np.testing.assert_array_equal(tensor.numpy(), expected[1:, ::-1].astype("f8"))
    np.testing.assert_array_equal(load("bucket://deep/store.zarr", select="::3, -2")["store.zarr"], expected[::3, -2])
