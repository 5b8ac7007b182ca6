"""Which objects and folders this process has opened for reading, and in which version: an export's data."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jupyter_gpu_ext.storage.models import Version

_KEPT = 2000


class Reads:
    """The last ones that were opened, each with the version that was opened last; None of a folder, which has none."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._versions: OrderedDict[str, Version | None] = OrderedDict()

    def add(self, url: str, version: Version | None) -> None:
        """Note what was opened."""
        with self._lock:
            self._versions[url] = version
            self._versions.move_to_end(url)
            if len(self._versions) > _KEPT:
                self._versions.popitem(last=False)

    def all(self) -> Mapping[str, Version | None]:
        """Return the versions by URL, in the order in which they were opened."""
        with self._lock:
            return dict(self._versions)


READS = Reads()
