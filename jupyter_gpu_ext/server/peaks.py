"""The most that each notebook held in this run of its kernel, and in its last runs after a restart of the server."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from jupyter_gpu_ext.gpu import peaks
from jupyter_gpu_ext.gpu.peaks import Peak

if TYPE_CHECKING:
    from collections.abc import Collection

    from jupyter_gpu_ext.gpu.attribution import Use

logger = logging.getLogger(__name__)

_SAVE_SECONDS = 10.0


class Peaks:
    """Sees each report go by, and writes what is new into a file every ten seconds at most.

    Parameters
    ----------
    folder : Path
        Jupyter's data folder.
    root : str
        The folder below which the notebooks' paths are.
    """

    def __init__(self, folder: Path, root: str) -> None:
        self._file = folder / peaks.NAME
        self._root = root
        self._most: dict[str, dict[str | None, int]] = {}
        self._noted: dict[str, tuple[str, dict[str, int]]] = {}
        self._news: dict[tuple[str, str], Peak] = {}
        self._saved_at = time.monotonic()

    def see(self, run: str, path: str, uses: tuple[Use, ...]) -> tuple[Use, ...]:
        """Return `uses` with the most that this run held of each device.

        Parameters
        ----------
        run : str
            The name of the kernel's run.
        path : str
            The notebook's; '' where the kernel has none.
        """
        most = self._most.setdefault(run, {})
        for one in uses:
            most[one.uuid] = max(most.get(one.uuid, 0), one.peak_bytes or 0, one.bytes or 0)
        devices = {uuid: size for uuid, size in most.items() if uuid is not None and size}
        if devices and path.endswith(".ipynb") and self._noted.get(run) != (path, devices):
            self._noted[run] = (path, devices)
            self._news[self._place(path), run] = Peak(run=run, time=time.time(), devices=devices)
        return tuple(replace(one, peak_bytes=most[one.uuid] or None) for one in uses)

    def keep(self, runs: Collection[str]) -> None:
        """Forget the runs that are over; what they held is in the file."""
        self._most = {run: found for run, found in self._most.items() if run in runs}
        self._noted = {run: found for run, found in self._noted.items() if run in runs}

    def of(self, path: str) -> dict[str, int]:
        """Return the most bytes of each device that the last two runs of a notebook held; reads a file."""
        self.save()
        return peaks.peak_of(self._file, self._place(path))

    async def save_soon(self) -> None:
        """Write what is new, unless that was done a moment ago."""
        if self._news and time.monotonic() - self._saved_at >= _SAVE_SECONDS:
            await asyncio.to_thread(self.save)

    def save(self) -> None:
        """Write what is new; never raises."""
        news, self._news = self._news, {}
        self._saved_at = time.monotonic()
        try:
            if news:
                peaks.write(self._file, [(path, peak) for (path, _), peak in news.items()])
        except OSError as error:
            logger.warning("%s could not be written: %s", self._file.name, error.strerror)

    def _place(self, path: str) -> str:
        return str(Path(self._root) / path)
