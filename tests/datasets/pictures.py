"""Folders of images and shards of them, as Pillow and tarfile write them."""

from __future__ import annotations

import io
import json
import tarfile
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from jupyter_gpu_ext.datasets.files import FileStream
    from tests.conftest import Store

CLASSES = ("ant", "bee", "cat")


def png(seed: int, size: tuple[int, int] = (6, 9), mode: str = "RGB") -> bytes:
    """Return an image of so many rows and columns."""
    drawn = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(drawn).convert(mode).save(out, "PNG")
    return out.getvalue()


def pixels(data: bytes) -> np.ndarray:
    """Return what Pillow decodes."""
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).transpose(2, 0, 1)


def put_images(store: Store, count: int = 5, prefix: str = "train") -> dict[str, bytes]:
    """Write so many images of each class; return them by URL."""
    made = {}
    for at, name in enumerate(CLASSES):
        for number in range(count):
            key = f"{prefix}/{name}/{number}.png"
            made[f"{store.name}://{key}"] = png(100 * at + number)
            store.put(key, made[f"{store.name}://{key}"])
    return made


def tar(members: Iterable[tuple[str, bytes]] | Mapping[str, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    """Return an archive."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for name, data in members.items() if isinstance(members, dict) else members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def shard(numbers: Iterable[int]) -> bytes:
    """Return a shard with an image, a class, a text and some JSON in each sample."""
    members = []
    for number in numbers:
        members += [
            (f"{number:04}.png", png(number)),
            (f"{number:04}.cls", str(number).encode()),
            (f"{number:04}.json", json.dumps({"at": number}).encode()),
        ]
    return tar(members)


def urls(stream: FileStream) -> list[str]:
    """Return the images that come, by their URLs."""
    found = []
    for item in stream:
        found += [item["url"]] if isinstance(item["url"], str) else item["url"]
    return found
