"""The most memory that each notebook held, kept in a small file: what a job of it will need."""

from __future__ import annotations

import json
import logging
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

NAME = "jupyter_gpu_peaks.json"
# A run that has just begun says little: the one before counts as well.
_RUNS = 2
_MOST_NOTEBOOKS = 200
_MOST_DEVICES = 64

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Peak:
    """What one run of a notebook held at most.

    Attributes
    ----------
    run : str
        Which run: another kernel or another start of it is another one.
    time : float
        When it was seen last, seconds since the epoch.
    devices : mapping of str to int
        Bytes by the device's uuid.
    """

    run: str
    time: float
    devices: dict[str, int]


def read(file: Path) -> dict[str, tuple[Peak, ...]]:
    """Return the last runs of each notebook by its path, the newest first; none where the file is not of its form."""
    try:
        said = json.loads(file.read_text(encoding="utf-8"))
        return {path: tuple(_peak(run) for run in runs) for path, runs in said["notebooks"].items() if runs}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        logger.warning("%s is started anew: %s", file.name, type(error).__name__)
        return {}


def peak_of(file: Path, path: str) -> dict[str, int]:
    """Return the most bytes that the last two runs of a notebook held, by the device's uuid.

    Parameters
    ----------
    file : Path
        `jupyter_gpu_peaks.json` in Jupyter's data folder.
    path : str
        The notebook's, absolute.
    """
    most: dict[str, int] = {}
    for run in read(file).get(path, ()):
        for uuid, size in run.devices.items():
            most[uuid] = max(size, most.get(uuid, 0))
    return most


def write(file: Path, news: Iterable[tuple[str, Peak]]) -> None:
    """Add runs, each with the notebook's path, oldest first; the notebooks that were seen last are kept.

    The file is replaced as a whole: two servers that write at once lose an entry, never the file.
    """
    known = read(file)
    for path, run in news:
        earlier = [one for one in known.get(path, ()) if one.run != run.run]
        known[path] = (run, *earlier)[:_RUNS]
    newest = sorted(known, key=lambda path: -known[path][0].time)[:_MOST_NOTEBOOKS]
    text = json.dumps({"notebooks": {path: [asdict(one) for one in known[path]] for path in newest}}, indent=1)
    file.parent.mkdir(parents=True, exist_ok=True)
    # Made by mkstemp, it is readable by its owner alone.
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{NAME}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            out.write(text)
        Path(name).replace(file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _peak(said: Any) -> Peak:
    run, time, devices = said["run"], said["time"], said["devices"]
    whole = isinstance(run, str) and isinstance(time, (int, float)) and isinstance(devices, dict)
    if not whole or not all(isinstance(size, int) and size >= 0 for size in devices.values()):
        raise ValueError("no peak")
    return Peak(run=run, time=time, devices=dict(list(devices.items())[:_MOST_DEVICES]))
