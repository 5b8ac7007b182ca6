"""Tensors of files in the array viewer are what numpy, torch and safetensors read."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_gpu_ext.errors import BadRequestError
from jupyter_gpu_ext.tensors import dense
from jupyter_gpu_ext.tensors.models import ITEM_BYTES, Block, Stored, Tensor, TensorFile, Whole
from jupyter_gpu_ext.tensors.selection import by_index, count_of, parse_selection, shape_of
from jupyter_gpu_ext.tensors.sent import held_dtype, widened
from jupyter_gpu_ext.tensors.view_json import attributes_json
from tests.tensors.files import torch_bytes

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Store

from tests.tensors.views import entity, opened, same, selections, values

TYPES = [one for one in ITEM_BYTES if hasattr(torch, one)]


def tensor_of(dtype: str, shape: tuple[int, ...]) -> torch.Tensor:
    raw = torch.randint(0, 256, (int(np.prod(shape)) * ITEM_BYTES[dtype],), dtype=torch.uint8)
    if dtype == "bool":
        raw %= 2
    return raw.view(getattr(torch, dtype)).reshape(shape)


def wide(value: torch.Tensor) -> np.ndarray:
    """Return what torch says that a tensor holds."""
    if value.dtype in (torch.float16, torch.bfloat16) or "float8" in str(value.dtype):
        return value.to(torch.float32).numpy()
    return (value.to(torch.complex64) if value.dtype == torch.complex32 else value).numpy()


@pytest.mark.parametrize("dtype", TYPES)
def test_tensors_of_each_type(tmp_path: Path, dtype: str) -> None:
    torch.manual_seed(1)
    value = tensor_of(dtype, (6, 5, 16))
    (tmp_path / "x.pt").write_bytes(torch_bytes({"a": value, "turned": value.permute(2, 0, 1)}))
    view = opened(str(tmp_path / "x.pt"))
    one = entity(view, "/a")
    assert (one["dtype"], one["shape"]) == (dtype, [6, 5, 16])
    for path, expected in (("/a", wide(value)), ("/turned", wide(value).transpose(2, 0, 1))):
        for text, items in [("", ()), *selections(expected.shape, 6)]:
            found = values(view, path, text)
            assert found.dtype.str == one["value_dtype"]
            np.testing.assert_array_equal(found, expected[items])


@pytest.mark.parametrize("dtype", [one for one in TYPES if one.startswith("float8")])
def test_all_bytes_of_8_bit_floats(dtype: str) -> None:
    codes = np.arange(256, dtype=np.uint8)
    expected = torch.from_numpy(codes).view(getattr(torch, dtype)).to(torch.float32).numpy()
    np.testing.assert_array_equal(widened(codes, dtype), expected)


def files() -> dict[str, tuple[bytes, dict[str, np.ndarray]]]:
    rng = np.random.default_rng(3)
    a, b = rng.random((40, 30, 7), np.float32), rng.integers(0, 9, (11, 4))
    names = {"model.layers.0/weight": a, "a b#?%&.x": b, "scalar": np.float64(3.5)}
    tensors = {name: torch.from_numpy(np.array(one)) for name, one in names.items()}
    single, fortran, swapped, stored, deflated = (io.BytesIO() for _ in range(5))
    np.save(single, a)
    np.save(fortran, np.asfortranarray(a))
    np.save(swapped, a.astype(">f4"))
    np.savez(stored, a=a, b=b)
    np.savez_compressed(deflated, a=a, b=b)
    return {
        "x.safetensors": (safetensors.torch.save(tensors, {"made": "here"}), names),
        "x.pt": (torch_bytes(tensors), names),
        "old.pt": (torch_bytes(tensors, _use_new_zipfile_serialization=False), names),
        "x.npy": (single.getvalue(), {"value": a}),
        "f.npy": (fortran.getvalue(), {"value": a}),
        "big.npy": (swapped.getvalue(), {"value": a}),
        "x.npz": (stored.getvalue(), {"a": a, "b": b}),
        "d.npz": (deflated.getvalue(), {"a": a, "b": b}),
    }


def test_files_from_each_kind_of_storage(store: Store) -> None:
    for name, (data, expected) in files().items():
        store.put(name, data)
        view = opened(f"{store.name}://{name}")
        assert {one["path"] for one in entity(view)["children"]} == {f"/{one}" for one in expected}
        for tensor, array in expected.items():
            one = entity(view, f"/{tensor}")
            assert (one["kind"], one["name"], one["shape"]) == ("dataset", tensor, list(array.shape))
            for text, items in [("", ()), *selections(array.shape, 5)]:
                same(values(view, f"/{tensor}", text), np.asarray(array)[items])
            with pytest.raises(BadRequestError):
                values(view, f"/{tensor}", "time=3")
    assert attributes_json(opened(f"{store.name}://x.safetensors"), "/") == {"made": "here"}


def test_only_the_rows_of_a_slice_are_read(local_store: Store) -> None:
    array = np.arange(4_000_000, dtype="f4").reshape(400, 10_000)
    local_store.put("x.safetensors", safetensors.torch.save({"w": torch.from_numpy(array), "v": torch.zeros(9)}))
    view = opened("disk://x.safetensors")
    reader = view._sources[0]
    before = reader.bytes_read, reader.requests
    same(values(view, "/w", "10:13"), array[10:13])
    assert (reader.bytes_read - before[0], reader.requests - before[1]) == (3 * 40_000, 1)
    # Far apart: in a request each.
    before = reader.bytes_read, reader.requests
    same(values(view, "/w", "::100, 7:9"), array[::100, 7:9])
    assert (reader.bytes_read - before[0], reader.requests - before[1]) == (4 * 8, 4)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_parts_of_any_strided_tensor(data: st.DataObject) -> None:
    shape = tuple(data.draw(st.lists(st.integers(1, 6), max_size=4)))
    stride = tuple(data.draw(st.integers(0, 9)) for _ in shape)
    offset = data.draw(st.integers(0, 5))
    size = offset + sum((n - 1) * step for n, step in zip(shape, stride, strict=True)) + 1
    storage = np.arange(size, dtype="<i4")
    expected = np.lib.stride_tricks.as_strided(storage[offset:], shape, [4 * step for step in stride])
    one = Tensor(dtype="int32", shape=shape, stride=stride, storage="s", offset=offset)
    file = TensorFile(
        url="x", kind="torch", size_bytes=4 * size, etag="", tensors={"t": one}, storages={"s": Stored(0, 4 * size)},
        tree=None,
    )  # fmt: skip
    text, items = selections(shape, 1, seed=data.draw(st.integers(0, 10**6)))[0]
    axes = by_index(parse_selection(text).items, shape, "t")
    out = np.full([axis.count for axis in axes], -1, "<i4")
    parts = dense.parts_of(file, one, axes) if count_of(axes) else []
    for asked in dense.requests_for(parts, 4, "t"):
        raw = bytearray(storage.tobytes()[asked.range.start : asked.range.stop])
        for part in asked.parts:
            out[part.target] = part.seen(raw, asked.range.start, held_dtype("int32"))
    np.testing.assert_array_equal(out.reshape(shape_of(axes)), expected[items])


def test_a_tensor_that_lies_in_blocks() -> None:
    whole = np.arange(48, dtype="<i4").reshape(6, 8)
    blocks = {"a": (0, 0, 4, 8), "b": (4, 0, 2, 3), "c": (4, 3, 2, 5)}
    raw = {key: np.ascontiguousarray(whole[y : y + h, x : x + w]) for key, (y, x, h, w) in blocks.items()}
    file = TensorFile(
        url="x", kind="torch-distributed", size_bytes=192, etag="", tree=None,
        tensors={"t": Tensor(dtype="int32", shape=(6, 8), stride=(8, 1), storage="t")},
        storages={key: Stored(0, one.nbytes) for key, one in raw.items()},
        wholes={"t": Whole(dtype="int32", shape=(6, 8), blocks=tuple(
            Block(storage=key, start=(y, x), shape=(h, w)) for key, (y, x, h, w) in blocks.items()
        ))},
    )  # fmt: skip
    for text, items in selections((6, 8), 40, seed=9):
        axes = by_index(parse_selection(text).items, (6, 8), "t")
        out = np.full([axis.count for axis in axes], -1, "<i4")
        parts = dense.parts_of(file, file.tensors["t"], axes) if count_of(axes) else []
        for asked in dense.requests_for(parts, 4, "t"):
            data = bytearray(raw[asked.storage].tobytes()[asked.range.start : asked.range.stop])
            for part in asked.parts:
                out[part.target] = part.seen(data, asked.range.start, held_dtype("int32"))
        np.testing.assert_array_equal(out.reshape(shape_of(axes)), whole[items])
