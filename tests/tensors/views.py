"""What the tests of the array viewer ask of a view, and random selections."""

from __future__ import annotations

import io
import random
from typing import Any

import numpy as np

from jupyter_gpu_ext.storage.loop import LOOP
from jupyter_gpu_ext.tensors.sent import sent_dtype
from jupyter_gpu_ext.tensors.value import Value, open_value
from jupyter_gpu_ext.tensors.view import View, open_view
from jupyter_gpu_ext.tensors.view_json import entity_json


async def _values(value: Value) -> np.ndarray:
    pieces = [piece.tobytes() async for piece in value.pieces]
    data = b"".join(pieces)
    assert len(data) == value.size_bytes
    return np.frombuffer(data, value.dtype).reshape(value.shape)


def values(view: View, path: str, select: str = "", **options: Any) -> np.ndarray:
    async def run() -> np.ndarray:
        return await _values(await open_value(view, path, select=select, **options))

    return LOOP.run(run())


def opened(url: str) -> View:
    return LOOP.run(open_view(url))


def entity(view: View, path: str = "/", **options: Any) -> dict[str, Any]:
    return LOOP.run(entity_json(view, path, **options))


def selections(shape: tuple[int, ...], count: int, seed: int = 0) -> list[tuple[str, tuple[Any, ...]]]:
    """Return random selections as text and as numpy's."""
    draw = random.Random(seed)
    found = []
    for _ in range(count):
        items: list[Any] = []
        for size in shape:
            start, stop = sorted((draw.randrange(size + 1), draw.randrange(size + 1)))
            step = draw.choice([1, 1, 1, 2, 3])
            back = slice(stop - 1 if stop else None, start - 1 if start else None, -step)
            one = draw.choice([slice(None), slice(start, stop, step), back if stop else slice(0, 0)])
            items.append(draw.randrange(-size, size) if size and draw.random() < 0.3 else one)
        found.append((", ".join(map(_text, items)), tuple(items)))
    return found


def _text(item: Any) -> str:
    if not isinstance(item, slice):
        return str(item)
    return ":".join("" if one is None else str(one) for one in (item.start, item.stop, item.step))


def same(found: np.ndarray, expected: Any) -> None:
    expected = np.asarray(expected)
    assert found.dtype == sent_dtype(expected.dtype.name)
    assert found.shape == expected.shape
    np.testing.assert_array_equal(found, expected.astype(found.dtype))


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()
