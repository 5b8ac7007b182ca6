"""The fact files: what the probes gave, or would give, on a machine with one fault."""

from __future__ import annotations

import json
from pathlib import Path

from jupyter_gpu_ext.gpu.facts import Facts

FOLDER = Path(__file__).with_name("facts")
NAMES = sorted(path.stem for path in FOLDER.glob("*.json"))


def recorded(name: str) -> Facts:
    """Return the facts of a file."""
    return Facts.from_json(json.loads((FOLDER / f"{name}.json").read_text()))
