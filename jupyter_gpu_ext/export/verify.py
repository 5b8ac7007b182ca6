"""`jupyter gpu verify`: an exported job is what was exported, and gives what its notebook gave; or it is said why not.

It needs neither Jupyter nor IPython nor a GPU; with the sample that the proof keeps, no storage either.
"""

from __future__ import annotations

import hashlib
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from jupyter_gpu_ext.errors import BadRequestError, GpuExtError
from jupyter_gpu_ext.export import connections, proof, used
from jupyter_gpu_ext.export import folder as folders
from jupyter_gpu_ext.export.again import again, lock_of
from jupyter_gpu_ext.job import connections as chosen
from jupyter_gpu_ext.job.lock import SCRIPT, differences
from jupyter_gpu_ext.storage.connections import FILE_NAME, load
from jupyter_gpu_ext.text import format_count, printable, redact

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jupyter_gpu_ext.export.connections import Used

# What a person fills in, and what says nothing of the result.
_FREE = frozenset((FILE_NAME, "README.md"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One thing that was looked at."""

    level: Literal["ok", "note", "error"]
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What came out; prints as a verdict and what it rests on."""

    lines: tuple[Line, ...]

    @property
    def holds(self) -> bool:
        """Whether nothing is otherwise than it was."""
        return not any(one.level == "error" for one in self.lines)

    @property
    def exit_code(self) -> int:
        """0: as it was; 2: not."""
        return 0 if self.holds else 2

    def __str__(self) -> str:
        words = "It is what was exported." if self.holds else "It is not what was exported."
        return "\n".join([words, *(f"{one.level}: {printable(redact(one.text))}" for one in self.lines)])

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return {"holds": self.holds, "lines": [asdict(one) for one in self.lines]}


def verify(folder: str) -> Verified:
    """Compare an exported job with what it was: its files, the objects that it reads, and what it computes.

    Raises
    ------
    BadRequestError
        When the folder holds no exported job.
    """
    path = Path(folder).expanduser().absolute()
    lines = list(_files(path))
    script = path / SCRIPT
    uses = _uses(script)
    with chosen.chosen(script):
        lines += _data(path)
        lines += _result(path, uses) if (path / folders.PROOF).is_dir() else [_unproven()]
    return Verified(lines=tuple(lines))


def _files(path: Path) -> Iterator[Line]:
    found = folders.changed(path)
    for name, what in found.items():
        word = "is not as it was exported" if what == "changed" else "is not there any more"
        yield Line(level="note" if name in _FREE else "error", text=f"{name} {word}.")
    if not found.keys() - _FREE:
        yield Line(level="ok", text="Every file is as it was exported.")


def _uses(script: Path) -> tuple[Used, ...]:
    try:
        return connections.used(used.named(script.read_text(encoding="utf-8")), load())
    except (OSError, ValueError, SyntaxError):
        raise BadRequestError(f"{printable(str(script))} is no script.", hint="Export the notebook again.") from None


def _data(path: Path) -> Iterator[Line]:
    entries = lock_of(path)
    registry = load()
    known = {*registry.connections, *registry.problems}
    here = [one for one in entries if one.url.partition("://")[0] in known and one.is_known]
    if away := sorted({one.url.partition("://")[0] for one in entries} - known):
        yield Line(
            level="note", text=f"The data of {', '.join(away)} was not looked at: no connection of that name here."
        )
    found = differences(here)
    yield from (Line(level="error", text=text) for text in found)
    if here and not found:
        yield Line(level="ok", text=f"{format_count(len(here), 'object')} in storage as they were.")


def _unproven() -> Line:
    return Line(level="note", text="Nothing was computed: the job was exported without --prove.")


def _result(path: Path, uses: tuple[Used, ...]) -> Iterator[Line]:
    made, expected = proof.read(path / folders.PROOF)
    script = path / SCRIPT
    if hashlib.sha256(script.read_bytes()).hexdigest() != made.script_sha256:
        yield Line(level="error", text=f"{SCRIPT} is not the one that was proven.")
    registry = load()
    if made.sample and not all(one.name in registry.connections or one.writes for one in uses):
        yield Line(level="note", text=f"Nothing was computed: its data is not kept ({made.sample}), and not here.")
        return
    try:
        found = again(script, made.plan, uses, python=sys.executable, data=path / folders.PROOF / proof.DATA)
    except GpuExtError as error:
        yield Line(level="error", text=error.message)
        return
    results = proof.compare(expected, found, made.plan)
    for one in results:
        if one.same is False:
            yield Line(level="error", text=f"{one.kind} {one.name}: {one.detail}")
    if all(one.same is not False for one in results):
        count = sum(one.same is True for one in results)
        yield Line(level="ok", text=f"It computes what the notebook did: {format_count(count, 'result')} the same.")
