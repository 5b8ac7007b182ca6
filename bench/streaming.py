"""Stream samples for a training from a Zarr store: ours beside what people use today, in turns, as median ratios.

Run by `make bench`, or `python -m bench.streaming [plain] [cloud] [published] [--quick]` for parts of it. Each way is a
process of its own for each round, see `bench/streaming_ways.py`: the first epoch says when the first batch came, the
second one the pace. 'cloud' is the server of ranges with 20 ms before each answer and 60 MB/s a connection; 'published'
has the samples of insitubatch's own figures, 721 × 1440. ROUNDS and MOST_SECONDS (of an epoch) say how long it may
take, WAYS=insitu,limit which rows beside ours there are.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr
from numcodecs import Zstd

from bench.range_server import running_range_server
from bench.streaming_ways import ARRAY, WAYS, Taken, Task
from bench.turns import touch_memory
from tests.conftest import AZURITE_ACCOUNT, AZURITE_KEY, KEY_VARIABLE, write_connections

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bench.range_server import RangeServer

ROUNDS = int(os.environ.get("ROUNDS", "3"))
CONTAINER = "data"
PER_CHUNK = (1, 8, 32)
_HERE = Path(__file__).parent
# Its libraries need a newer Python than this project: they have an environment of their own, and no torch.
_PEERS = ("insitubatch", "zarr-beluga")
_PEERS_PYTHON = (3, 12)
_MOST_SECONDS = 240
_TOUCHED_BYTES = 512 << 20
_HEADS = "| way | samples/s | MB/s | first batch, s | peak, MB | CPU-s/GB | ours is faster by |"


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What is read.

    Attributes
    ----------
    samples : int
    entry : tuple of int
        Shape of one sample, of float32.
    buffer : int
        Across how many samples a shuffle draws.
    memory_bytes : int
        What our stream may take.
    """

    samples: int
    entry: tuple[int, int]
    buffer: int = 128
    batch: int = 32
    memory_bytes: int = 128 << 20

    @property
    def size_bytes(self) -> int:
        """Of all samples."""
        return self.samples * self.sample_bytes

    @property
    def sample_bytes(self) -> int:
        """Of one."""
        return self.entry[0] * self.entry[1] * 4


USUAL = Shape(samples=2048, entry=(181, 360))
QUICK = Shape(samples=512, entry=(181, 360))
PUBLISHED = Shape(samples=1024, entry=(721, 1440), memory_bytes=1 << 30)


@dataclass(frozen=True, kw_only=True)
class Part:
    """Some of the tables: a server and what lies on it."""

    words: str
    shape: Shape = USUAL
    latency_ms: float = 0.0
    rate_mbps: float | None = None

    @property
    def far(self) -> bool:
        """Whether many requests at a time are what makes it fast."""
        return self.latency_ms > 0


PARTS = {
    "plain": Part(words="Plain http"),
    "cloud": Part(words="20 ms and 60 MB/s a connection", latency_ms=20, rate_mbps=60),
    "published": Part(words="Fields of 721 × 1440, plain http", shape=PUBLISHED),
}


def write_store(path: Path, shape: Shape, per_chunk: int, *, zstd: bool) -> None:
    """Write a store as WeatherBench 2 has them: Zarr 2, consolidated, a variable with its coordinates.

    Fields are smooth with some noise, rounded to hundredths; the first value of each is its number.
    """
    group = zarr.open_group(path, mode="w", zarr_format=2)
    names = ("time", "latitude", "longitude")
    for name, count in zip(names, (shape.samples, *shape.entry), strict=True):
        units = {"units": "hours since 1959-01-01" if name == "time" else "degrees"}
        group.create_array(name, data=np.arange(count, dtype="f8"), chunks=(count,), attributes=_on(name) | units)
    array = group.create_array(
        ARRAY, shape=(shape.samples, *shape.entry), chunks=(per_chunk, *shape.entry), dtype="f4",
        fill_value=np.nan, compressors=Zstd(level=3) if zstd else None, attributes=_on(*names),
    )  # fmt: skip
    draw = np.random.default_rng(0)
    rows, columns = (np.linspace(0, 6, count, dtype="f4") for count in shape.entry)
    for at in range(0, shape.samples, 32):
        phase = np.arange(at, at + 32, dtype="f4")[:, None, None] / 50
        field = 280 + 30 * np.sin(rows[:, None] + phase) * np.cos(columns + phase)
        field = (field + draw.standard_normal(field.shape, "f4") / 4).round(2).astype("f4")
        field[:, 0, 0] = np.arange(at, at + 32)
        array[at : at + 32] = field
    zarr.consolidate_metadata(path, zarr_format=2)


def _on(*names: str) -> dict[str, Any]:
    return {"_ARRAY_DIMENSIONS": list(names)}


def peers_python() -> str:
    """Return the interpreter of the environment of those that need a newer Python, made where it is not there yet.

    Raises
    ------
    OSError, subprocess.CalledProcessError
        Where there is no such Python, or no such package for it.
    """
    place = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "jupyter_gpu_ext" / "bench-streaming"
    python, pins = place / "bin" / "python", _HERE.parent / "requirements" / "bench-streaming.txt"
    done = place / pins.name
    if not done.exists() or done.read_bytes() != pins.read_bytes():
        subprocess.run([_new_python(), "-m", "venv", "--clear", place], check=True)
        subprocess.run([python, "-m", "pip", "install", "-qq", "-r", pins], check=True)
        done.write_bytes(pins.read_bytes())
    return str(python)


def _new_python() -> str:
    if sys.version_info >= _PEERS_PYTHON:
        return sys.executable
    found = sorted(Path.home().glob(".pyenv/versions/3.12*/bin/python3.12"))
    return str(found[-1]) if found else "python3.12"


def interpreters() -> dict[str, str]:
    """Return the interpreter for each way that can be run here; say of the others why not, in a line."""
    usual = {way: sys.executable for way in WAYS if not way.startswith(_PEERS)}
    try:
        return usual | {way: peers_python() for way in WAYS if way.startswith(_PEERS)}
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"{' and '.join(_PEERS)} are left out: {error}")
        return usual


def run(python: str, task: Task) -> Taken:
    """Run one way in a process of its own.

    Raises
    ------
    RuntimeError
        With the last line that it wrote.
    """
    touch_memory(_TOUCHED_BYTES)
    # Without -P its own folder would be looked through for modules first.
    words = [python, "-P", _HERE / "streaming_ways.py", json.dumps(dataclasses.asdict(task))]
    done = subprocess.run(words, capture_output=True, text=True, timeout=_MOST_SECONDS, check=False)
    if done.returncode:
        raise RuntimeError((done.stderr.strip() or f"it ended with {done.returncode}").splitlines()[-1])
    return Taken(**json.loads(done.stdout.splitlines()[-1]))


def turns(pythons: dict[str, str], tasks: Sequence[Task], rounds: int) -> dict[str, list[Taken]]:
    """Run every way once a round, each round beginning with another one; who fails is left out, and said."""
    taken = defaultdict[str, list[Taken]](list)
    left = list(tasks)
    for number in range(rounds):
        first = number % len(left)
        for task in left[first:] + left[:first]:
            try:
                taken[task.way].append(run(pythons[task.way], task))
            except (RuntimeError, subprocess.TimeoutExpired) as error:
                print(f"{task.way} is left out: {error}")
                left.remove(task)
    whole = {task.way for task in left}
    return {way: taken[way] for way in WAYS if way in whole}


def rows(taken: dict[str, list[Taken]], sample_bytes: int) -> Iterator[str]:
    """Yield a line of a Markdown table a way; the first way is compared with each."""
    yield _HEADS
    yield "| --- | ---: | ---: | ---: | ---: | ---: | :--- |"
    ours = next(iter(taken.values()))
    for way, own in taken.items():
        pace = statistics.median(_pace(one) for one in own)
        ratios = sorted(_pace(mine) / _pace(theirs) for mine, theirs in zip(ours, own, strict=True))
        cpu = statistics.median(one.cpu_seconds / (one.samples * sample_bytes) * 1e9 for one in own)
        first, peak = (statistics.median(getattr(one, name) for one in own) for name in ("first_seconds", "peak_mb"))
        faster = "" if own is ours else f"×{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        rate = pace * sample_bytes / 1e6
        yield f"| {way} | {pace:.0f} | {rate:.0f} | {first:.2f} | {peak:.0f} | {cpu:.2f} | {faster} |"


def _pace(taken: Taken) -> float:
    return taken.samples / taken.seconds


def tables(pythons: dict[str, str], server: RangeServer, folder: Path, part: Part, *, quick: bool) -> None:
    """Write each store, measure every way on it, and print."""
    shape = QUICK if quick else part.shape
    for zstd, per_chunk in itertools.product((False, True), PER_CHUNK):
        name = f"{per_chunk}-{'zstd' if zstd else 'raw'}"
        write_store(folder / CONTAINER / name, shape, per_chunk, zstd=zstd)
        tasks = [
            Task(
                way=way, endpoint=server.endpoint, account=AZURITE_ACCOUNT, key=AZURITE_KEY, container=CONTAINER,
                store=name, samples=shape.samples, shape=shape.entry, per_chunk=per_chunk, zstd=zstd,
                batch=shape.batch, buffer=shape.buffer, memory_bytes=shape.memory_bytes, far=part.far,
                most_seconds=2.0 if quick else float(os.environ.get("MOST_SECONDS", "5")),
            )
            for way in pythons
        ]  # fmt: skip
        each = f"{per_chunk} sample{'s' * (per_chunk > 1)} a chunk of {per_chunk * shape.sample_bytes / 1e6:.1f} MB"
        print(f"\n### {part.words}, {'zstd' if zstd else 'raw'}, {each}\n", flush=True)
        print(*rows(turns(pythons, tasks, 1 if quick else ROUNDS), shape.sample_bytes), sep="\n", flush=True)
        shutil.rmtree(folder / CONTAINER / name)


def main() -> None:
    """Measure and print."""
    words = set(sys.argv[1:])
    asked = (words - {"--quick"}) or {"plain", "cloud"}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / CONTAINER).mkdir()
        os.environ |= {KEY_VARIABLE: AZURITE_KEY, "JUPYTER_GPU_CONNECTIONS": str(folder / "connections.toml")}
        only = os.environ.get("WAYS", "").split(",")
        pythons = interpreters()
        ours = next(iter(WAYS))
        pythons = {way: one for way, one in pythons.items() if way == ours or any(word in way for word in only)}
        print(f"{os.cpu_count()} cores, rounds in turns: {1 if '--quick' in words else ROUNDS}")
        for part in (PARTS[one] for one in PARTS if one in asked):
            with running_range_server(
                folder / CONTAINER, latency_ms=part.latency_ms, rate_mbps=part.rate_mbps
            ) as server:
                fields: dict[str, object] = {"root": f"az://{CONTAINER}", "endpoint": server.endpoint}
                fields |= {"credential": "account-key", "secret": f"env:{KEY_VARIABLE}"}
                write_connections(folder / "connections.toml", bench=fields)
                tables(pythons, server, folder, part, quick="--quick" in words)


if __name__ == "__main__":
    main()
