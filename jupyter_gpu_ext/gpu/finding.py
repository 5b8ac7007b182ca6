"""One thing that the doctor has to say."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Literal

from jupyter_gpu_ext.gpu.compat import Compat
from jupyter_gpu_ext.gpu.facts import Facts

Level = Literal["ok", "note", "warning", "error"]
# Worst first.
LEVELS: tuple[Level, ...] = ("error", "warning", "note", "ok")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What was found, by what, and what to do about it.

    Attributes
    ----------
    id : str
        The kind of finding; the same in every version.
    title : str
        One sentence.
    evidence : str
        What was seen.
    fix : str
        The next step; empty when there is nothing to do.
    source : str
        Where this is documented, a URL; may be empty.
    """

    id: str
    level: Level
    title: str
    evidence: str = ""
    fix: str = ""
    source: str = ""

    def to_json(self) -> dict[str, str]:
        """Return plain data."""
        return asdict(self)


Rule = Callable[[Facts, Compat], Iterator[Finding]]
# Is given what was said of the fault besides.
Maker = Callable[[Facts, Compat, str], Iterator[Finding]]
