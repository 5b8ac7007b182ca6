"""`jg.view`: what JupyterLab is told, and what is said where it is not there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import safetensors.numpy
import zarr

import jupyter_gpu_ext as jg
from jupyter_gpu_ext.errors import BadRequestError, NotFoundError
from jupyter_gpu_ext.tensors.viewer import MIME_TYPE

if TYPE_CHECKING:
    from tests.conftest import Store


def test_a_notebook_tells_jupyterlab_what_to_open(local_store: Store) -> None:
    local_store.put("m.safetensors", safetensors.numpy.save({"a/b": np.zeros((3, 4)), "c": np.zeros(2)}))
    viewer = jg.view("disk://m.safetensors", path="a/b", select="0, :")
    bundle = viewer._repr_mimebundle_()
    assert MIME_TYPE == "application/vnd.jupyter-gpu-ext.view+json"
    assert bundle[MIME_TYPE] == {"connection": "disk", "key": "m.safetensors", "path": "/a/b", "select": "0, :"}
    assert "a/b" in bundle["text/plain"]
    assert "Storage (left) › disk" in str(viewer)
    for path, select, error in [
        ("none", None, NotFoundError),
        ("a/b", "9", BadRequestError),
        ("a/b", "x", BadRequestError),
        ("", "0", BadRequestError),
    ]:
        with pytest.raises(error):
            jg.view("disk://m.safetensors", path=path, select=select)


def test_a_local_path_has_no_viewer(local_store: Store) -> None:
    assert local_store.folder is not None
    path = local_store.folder / "z.zarr"
    zarr.create_array(path, shape=(3, 4), dtype="f4")
    viewer = jg.view(str(path), select="0, 1:")
    assert list(viewer._repr_mimebundle_()) == ["text/plain"]
    assert "%blob connect FOLDER" in str(viewer)
