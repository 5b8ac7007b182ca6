"""What a pasted text stands for, before anything is asked of storage."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import chain, count
from typing import TYPE_CHECKING

from jupyter_gpu_ext.storage.connections import PROTOCOLS
from jupyter_gpu_ext.storage.sas import Grants

if TYPE_CHECKING:
    from collections.abc import Container, Mapping
    from datetime import datetime

    from jupyter_gpu_ext.storage.credentials import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A connection that could be made.

    Attributes
    ----------
    name : str
        A good name for it, not yet compared with those that exist.
    fields : mapping
        The connection's fields but `secret` and `read_only`.
    key : str
        What the link names below the root; empty for the root itself.
    one_object : str or None
        The key, where the link grants this object alone.
    starts_at, expires_at : datetime or None
        UTC; None is not known, or for ever.
    """

    name: str
    fields: Mapping[str, str]
    key: str = ""
    secret: Secret | None = None
    one_object: str | None = None
    grants: Grants = field(default_factory=Grants)
    starts_at: datetime | None = None
    expires_at: datetime | None = None


def split(path: str) -> tuple[str, str]:
    """Return the folder to connect and the key in it that a path names.

    A last part with a dot in it is an object (or a Zarr store, which is opened by its name alike).

    Examples
    --------
    >>> split("llama/"), split("llama"), split("llama/model.safetensors"), split("")
    (('llama', ''), ('llama', ''), ('llama', 'model.safetensors'), ('', ''))
    """
    folder, _, last = path.rpartition("/")
    if "." in last.strip("."):
        return folder.strip("/"), last
    return path.strip("/"), ""


def join(protocol: str, *parts: str) -> str:
    """Return the root of a connection: 'az://container/folder'."""
    return f"{protocol}://{'/'.join(part for part in parts if part)}"


def suggest(*words: str) -> str:
    """Return a connection's name made of the first word that has letters in it.

    Examples
    --------
    >>> suggest("", "Shared_Models"), suggest("$web", "mystorage"), suggest("2024"), suggest("s3")
    ('shared-models', 'web', 'data-2024', 's3-data')
    """
    for word in words:
        name = re.sub(r"[^a-z0-9]+", "-", word.lower()).strip("-")[:40].strip("-")
        if not name:
            continue
        if not name[0].isalpha():
            name = f"data-{name}"
        return f"{name}-data" if name in PROTOCOLS or len(name) < 2 else name
    return "storage"


def free(name: str, taken: Container[str]) -> str:
    """Return `name`, with a number where it is taken."""
    names = chain([name], (f"{name}-{number}" for number in count(2)))
    return next(one for one in names if one not in taken)
