"""Which kinds of files are samples, by their endings."""

from __future__ import annotations

IMAGES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".ppm", ".pgm", ".tif", ".tiff")
ENDINGS: dict[str, tuple[str, ...]] = {
    "images": IMAGES,
    "npy": (".npy",),
    "npz": (".npz",),
    "safetensors": (".safetensors",),
    "pt": (".pt", ".pth"),
    "tar": (".tar",),
}
_READABLE = {"images": "images", "tar": "tar shards"}


def kind_of(key: str) -> str:
    """Return the kind of a file, '' where it is none that is read."""
    name = key.lower()
    return next((kind for kind, endings in ENDINGS.items() if name.endswith(endings)), "")


def readable(kind: str) -> str:
    """Return the kind in words, of several files."""
    return _READABLE.get(kind, f".{kind} files")
