"""Files that a run wrote, described by what they hold where that can be read: a container's bytes may hold the time."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.errors import GpuExtError
from jupyter_gpu_ext.job.described import Describer, Said
from jupyter_gpu_ext.tensors.loader import load

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_TENSORS = frozenset((".npy", ".npz", ".pt", ".pth", ".safetensors"))
_TEXTS = frozenset((".txt", ".csv", ".json", ".jsonl", ".md", ".log", ".yaml", ".yml", ".toml"))
_LONGEST_TEXT = 20_000
_PIECE_BYTES = 1 << 20


def describe_files(files: Mapping[str, Path]) -> tuple[dict[str, Said], dict[str, Any]]:
    """Return what each file holds, and the arrays that were kept."""
    describer = Describer("f")
    return {name: _describe(file, describer) for name, file in files.items()}, describer.arrays


def _describe(file: Path, describer: Describer) -> Said:
    if file.suffix in _TENSORS:
        try:
            return describer.describe(load(str(file), device="cpu"))
        except GpuExtError:
            return _bytes(file)
    if file.suffix in _TEXTS and file.stat().st_size <= _LONGEST_TEXT:
        try:
            return describer.describe(file.read_text(encoding="utf-8"))
        except ValueError:
            return _bytes(file)
    return _bytes(file)


def _bytes(file: Path) -> Said:
    digest = hashlib.sha256()
    with file.open("rb") as opened:
        while piece := opened.read(_PIECE_BYTES):
            digest.update(piece)
    return {"kind": "bytes", "sha256": digest.hexdigest()}
