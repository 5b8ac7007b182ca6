"""Which versions of which objects a job is to find: what the notebook read, else what is there now."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from jupyter_gpu_ext.errors import GpuExtError
from jupyter_gpu_ext.job import lock
from jupyter_gpu_ext.job.lock import Locked
from jupyter_gpu_ext.storage.connections import PROTOCOLS
from jupyter_gpu_ext.text import printable, redact

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from jupyter_gpu_ext.export.used import Named


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """What is written into `data.lock`, and what a person should know of it."""

    entries: tuple[Locked, ...] = ()
    notes: tuple[str, ...] = ()


def find(urls: Sequence[Named], reads: Iterable[Locked]) -> Data:
    """Return what a script reads, in its versions. Asks storage, and blocks.

    Parameters
    ----------
    urls : sequence of Named
        Those of the script.
    reads : iterable of Locked
        What the notebook's kernel read.
    """
    seen = {one.url: one for one in reads}
    wanted = list(wanted_of(urls, seen))
    entries, notes = list[Locked](), list[str]()
    for url, now in zip(wanted, lock.observe(wanted), strict=True):
        shown, before = printable(redact(url)), seen.get(url)
        if isinstance(now, GpuExtError):
            notes.append(f"{shown} is not in data.lock as it is now: {now.message}")
            if before is not None and before.is_known:
                entries.append(before)
        elif before is not None and before.etag and before.etag != now.etag:
            notes.append(f"{shown} has changed since the notebook read it; data.lock has what the notebook read.")
            entries.append(before)
        else:
            entries.append(replace(now, url=url))
    return Data(entries=tuple(entries), notes=tuple(notes))


def wanted_of(urls: Iterable[Named], seen: Iterable[str]) -> Iterable[str]:
    """Return the URLs that are read: the script's, and the kernel's that lie below none of those and are not written.

    A beginning of a URL, as in f"run7://step{n}.pt", names nothing by itself; what the kernel read of it is there.
    """
    named = [one for one in urls if one.scheme not in PROTOCOLS]
    written = [one.url.rstrip("/") for one in named if one.writes]
    read = [one.url for one in named if one.whole and not one.writes and one.key.strip("/")]
    schemes = {one.scheme for one in named}
    more = [url for url in seen if url.partition("://")[0] in schemes and not _is_below(url, read)]
    return dict.fromkeys(url for url in (*read, *more) if not _is_below(url, written))


def _is_below(url: str, others: Iterable[str]) -> bool:
    return any(url == one or url.startswith(f"{one.rstrip('/')}/") for one in others)
