"""From a line of an exported script to the notebook's cell."""

from __future__ import annotations

import re
from itertools import pairwise
from traceback import walk_tb
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from types import TracebackType

_MAP = re.compile(r"^# lines:((?: \d+(?:=\d+\.\d+)?)+)$", re.MULTILINE)


def line_map(origins: Iterable[tuple[int, int]]) -> str:
    """Return the comment that says where each line of a script came from.

    Parameters
    ----------
    origins : iterable of tuple
        For each line cell and line, counted from 1; zeros for a line that came from no cell.

    Examples
    --------
    >>> line_map([(0, 0), (2, 1), (2, 2), (0, 0)])
    '# lines: 2=2.1 4'
    """
    words, expected = [], (0, 0)
    for number, origin in enumerate(origins, start=1):
        if origin != expected:
            words.append(f"{number}={origin[0]}.{origin[1]}" if origin[0] else str(number))
        expected = (origin[0], origin[1] + 1) if origin[0] else (0, 0)
    return " ".join(["# lines:", *words]) if words else ""


def cell_of(script: str, line: int) -> tuple[int, int] | None:
    """Return the cell, and the line in it, that a line of the script came from.

    Examples
    --------
    >>> cell_of("# lines: 2=2.1 4", 3)
    (2, 2)
    """
    found = _MAP.findall(script)
    words = (
        [(int(number), place) for number, _, place in (one.partition("=") for one in found[-1].split())]
        if found
        else []
    )
    for (number, place), (end, _) in pairwise([*words, (line + 1, "")]):
        if number <= line < end:
            cell, _, first = place.partition(".")
            return (int(cell), int(first) + line - number) if cell else None
    return None


def said(script: Path, trace: TracebackType | None) -> tuple[int, int] | None:
    """Return the cell and line where an error left the code of the notebook; None where that is not known."""
    lines = [line for frame, line in walk_tb(trace) if frame.f_code.co_filename == str(script)]
    try:
        return cell_of(script.read_text(encoding="utf-8"), lines[-1]) if lines else None
    except OSError:
        return None
