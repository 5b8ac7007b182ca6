"""`display` of a notebook, in a script."""

from __future__ import annotations

import sys

from jupyter_gpu_ext.job.rank import rank


def display(*values: object, **_options: object) -> None:
    """Write each value as the prompt would show it, on the first rank; options of a browser have no effect."""
    if rank() == 0:
        for value in values:
            sys.stdout.write(f"{value!r}\n")
