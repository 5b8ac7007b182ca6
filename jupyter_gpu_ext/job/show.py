"""`display` of a notebook, in a script."""

from __future__ import annotations

import sys


def display(*values: object, **_options: object) -> None:
    """Write each value as the prompt would show it; options that only a browser knows have no effect."""
    for value in values:
        sys.stdout.write(f"{value!r}\n")
