"""What the GPU panel costs the browser's tab: eight devices, one question a second.

Usage: python -m bench.gpu_panel [SECONDS]
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

from tests.ui.lab import drive, running_lab

VIEWS = {"closed": "neither panel nor dashboard", "panel": "the panel", "both": "the panel and the dashboard"}


def main(seconds: str = "30") -> None:
    """Print the share of one core that each view takes, and what of it is script, layout and style."""
    with TemporaryDirectory() as folder, running_lab(Path(folder) / "lab", {"JUPYTER_GPU_SIMULATED": "8xA100"}) as lab:
        found = drive("gpu_cost.mjs", lab, Path(folder) / "out", SECONDS=seconds)
    for view, words in VIEWS.items():
        cost = cast("dict[str, float]", found[view])
        parts = ", ".join(f"{name.removesuffix('Duration')} {100 * share:.2f} %" for name, share in cost.items())
        print(f"{words}: {parts}")


if __name__ == "__main__":
    main(*sys.argv[1:])
