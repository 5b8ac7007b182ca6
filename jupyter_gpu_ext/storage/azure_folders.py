"""Azure's ways to mark an empty folder, folded with the prefix of the same name into one row."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from jupyter_gpu_ext.storage.models import Entry, RawPage
from jupyter_gpu_ext.storage.names import folded, last

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime


def is_marker(metadata: Mapping[str, str] | None) -> bool:
    """Return whether an empty blob stands for a folder: Data Lake tools, Hadoop and BlobFuse write this."""
    return (metadata or {}).get("hdi_isfolder", "").lower() == "true"


def marked(key: str, modified: datetime) -> Entry:
    """Return the folder that the marker blob `key` stands for."""
    key = key.removesuffix("/") + "/"
    return Entry(kind="folder", name=last(key), key=key, modified=modified)


def fold(entries: Sequence[Entry], prefix: str, shown: Iterable[str], token: str | None) -> RawPage:
    """Return the page with one row a folder.

    Between the marker 'a' and the prefix 'a/' lies whatever sorts between them ('a-b'), and perhaps the end
    of a page: the marker of the next page says which folders were shown and can still come.

    Parameters
    ----------
    shown : iterable of str
        Keys of folders that an earlier page showed.
    token : str or None
        The provider's marker of the next page.
    """
    rows = {(entry.kind, entry.key): entry for entry in reversed(list(folded(entries, prefix)))}
    earlier = set(shown)
    kept = [row for row in reversed(rows.values()) if row.kind == "object" or row.key not in earlier]
    end = max((entry.key for entry in entries), default="")
    coming = sorted(earlier | {row.key for row in kept if row.kind == "folder" and row.modified})
    return RawPage(tuple(kept), token and json.dumps([token, [key for key in coming if key >= end]]))


def read_marker(marker: str | None) -> tuple[str | None, list[str]]:
    """Return the provider's marker and the folders that were shown."""
    if marker is None:
        return None, []
    token, shown = json.loads(marker)
    return token, shown
