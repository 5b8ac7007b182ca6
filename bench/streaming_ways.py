"""Go through a Zarr store for two epochs in one way, and print what that took: the process of one row.

Run by bench/streaming.py with a `Task` as JSON; also by an interpreter that has neither this project nor torch, so that
each way imports what it needs by itself.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import http.client
import json
import os
import queue
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

# What a way gives for each batch: the first value of each sample, which is the sample's number.
Epoch = Callable[[int], Iterator[Any]]

ARRAY = "t2m"
_THREADS_NEAR, _THREADS_FAR = 8, 64
_IN_FLIGHT = 64


@dataclass(frozen=True, kw_only=True)
class Task:
    """What is read, where, and for how long."""

    way: str
    endpoint: str
    account: str
    key: str
    container: str
    store: str
    samples: int
    shape: tuple[int, int]
    per_chunk: int
    zstd: bool
    batch: int
    buffer: int
    memory_bytes: int
    far: bool
    most_seconds: float

    @property
    def url(self) -> str:
        """The store's own address."""
        return f"{self.endpoint}/{self.container}/{self.store}"


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What a way took: the first batch from nothing, then an epoch by who has begun already."""

    first_seconds: float
    samples: int
    seconds: float
    cpu_seconds: float
    peak_mb: float


def ours(task: Task, prefetch: int = 0) -> Epoch:
    """Return our stream."""
    import torch  # noqa: F401 -- not to be measured

    import jupyter_gpu_ext as jg

    stream = jg.ZarrStream(f"bench://{task.store}", [ARRAY], memory_bytes=task.memory_bytes)
    stream = stream.shuffle(seed=0, buffer=task.buffer).batch(task.batch).prefetch(prefetch)

    def epoch(number: int) -> Iterator[Any]:
        stream.set_epoch(number)
        for batch in stream:
            yield batch[ARRAY][:, 0, 0].numpy()

    return epoch


def limit(task: Task, fetching: Callable[[Task], Callable[[str], Any]]) -> Epoch:
    """Return each chunk fetched and decoded once by threads, and dropped: what no loader can pass."""
    import numpy as np
    from numcodecs import zstd

    keys = [f"{ARRAY}/{at}.0.0" for at in range(task.samples // task.per_chunk)]

    def some(todo: Iterator[str], done: queue.SimpleQueue[Any]) -> None:
        fetch = fetching(task)
        out = np.empty((task.per_chunk, *task.shape), np.float32)
        for key in todo:
            stored = fetch(key)
            if task.zstd:
                zstd.decompress(stored, out)
            else:
                np.copyto(out, np.frombuffer(stored, np.float32).reshape(out.shape))
            done.put(out[:, 0, 0].copy())

    def epoch(number: int) -> Iterator[Any]:
        order = random.Random(number).sample(keys, len(keys))
        todo, done = _Shared(order), queue.SimpleQueue[Any]()
        count = min(_THREADS_FAR if task.far else _THREADS_NEAR, len(order))
        for _ in range(count):
            threading.Thread(target=some, args=(todo, done), daemon=True).start()
        for _ in order:
            yield done.get()

    return epoch


class _Shared:
    """An iterator for several threads."""

    def __init__(self, items: list[str]) -> None:
        self._items = iter(items)
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        with self._lock:
            return next(self._items)


def by_socket(task: Task) -> Callable[[str], Any]:
    """Return a fetch through a connection of its own, into one buffer that is used again."""
    host, _, path = task.url.removeprefix("http://").partition("/")
    client = http.client.HTTPConnection(host, timeout=60)
    buffer = bytearray(task.per_chunk * task.shape[0] * task.shape[1] * 5)

    def fetch(key: str) -> Any:
        client.request("GET", f"/{path}/{key}")
        reply, at, into = client.getresponse(), 0, memoryview(buffer)
        while count := reply.readinto(into[at:]):
            at += count
        return into[:at]

    return fetch


def by_obstore(task: Task) -> Callable[[str], Any]:
    """Return a fetch by obstore."""
    import obstore

    store = _azure(task)
    return lambda key: obstore.get(store, key).bytes()


@functools.cache
def _azure(task: Task) -> Any:
    from obstore.store import AzureStore

    return AzureStore(
        task.container, prefix=task.store, account_name=task.account, account_key=task.key, endpoint=task.endpoint,
        client_options={"allow_http": True},
    )  # fmt: skip


def _opened(task: Task, kind: str) -> Any:
    import zarr
    from zarr.storage import FsspecStore, ObjectStore

    # Its own default of 10 is for disks.
    zarr.config.set({"async.concurrency": _IN_FLIGHT})
    store = ObjectStore(_azure(task), read_only=True) if kind == "object" else FsspecStore.from_url(task.url)
    return zarr.open_array(store, path=ARRAY, mode="r", zarr_format=2)


class Singles:
    """A sample by its number, as most people write it."""

    def __init__(self, task: Task, kind: str) -> None:
        self._task = task
        self._kind = kind

    @functools.cached_property
    def array(self) -> Any:
        """Opened where it is read: in the worker."""
        return _opened(self._task, self._kind)

    def __len__(self) -> int:
        return self._task.samples

    def __getitem__(self, at: int) -> Any:
        return self.array[at]


class Together(Singles):
    """The samples of a batch in one call, whose chunks zarr reads side by side."""

    def __getitems__(self, numbers: list[int]) -> Any:
        import numpy as np

        first, last = min(numbers), max(numbers)
        if last - first < len(numbers):
            return self.array[first : last + 1][np.array(numbers) - first]
        order = np.argsort(numbers)
        found = self.array.oindex[np.array(numbers)[order]]
        return found[np.argsort(order)]


def whole_chunks(task: Task, epoch: int) -> list[list[int]]:
    """Return the samples of each batch: of whole chunks in any order, so that each is read once."""
    draw = random.Random(epoch)
    chunks = list(range(task.samples // task.per_chunk))
    draw.shuffle(chunks)
    each = max(1, task.batch // task.per_chunk)
    found = []
    for at in range(0, len(chunks), each):
        numbers = [one * task.per_chunk + k for one in chunks[at : at + each] for k in range(task.per_chunk)]
        draw.shuffle(numbers)
        found += [numbers[k : k + task.batch] for k in range(0, len(numbers), task.batch)]
    return found


class ByChunk:
    """The batches of `whole_chunks`, others each time."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._epoch = -1

    def __iter__(self) -> Iterator[list[int]]:
        self._epoch += 1
        return iter(whole_chunks(self._task, self._epoch))


def _tensor(batch: Any) -> Any:
    import torch

    return torch.from_numpy(batch)


def zarr_loader(task: Task, kind: str, workers: int = 0, *, naive: bool = False) -> Epoch:
    """Return zarr-python in a `DataLoader`."""
    import zarr.storage  # noqa: F401 -- not to be measured
    from torch.utils.data import DataLoader

    more: dict[str, Any] = {"multiprocessing_context": "spawn", "persistent_workers": True} if workers else {}
    if naive:
        loader = DataLoader(Singles(task, kind), batch_size=task.batch, shuffle=True, num_workers=workers, **more)
    else:
        options: dict[str, Any] = {"batch_sampler": ByChunk(task), "collate_fn": _tensor, "num_workers": workers}
        loader = DataLoader(Together(task, kind), **options, **more)
    return lambda _: (batch[:, 0, 0].numpy() for batch in loader)


def xbatcher(task: Task) -> Epoch:
    """Return batches of entries that follow one another, in any order."""
    import xarray
    import zarr
    from torch.utils.data import DataLoader
    from xbatcher import BatchGenerator
    from xbatcher.loaders.torch import MapDataset
    from zarr.storage import ObjectStore

    @functools.cache
    def loader() -> Any:
        zarr.config.set({"async.concurrency": _IN_FLIGHT})
        # Without Dask, whose graph takes longer than such reads.
        data = xarray.open_zarr(ObjectStore(_azure(task), read_only=True), chunks=None)[ARRAY]
        sizes = {"time": task.batch, "latitude": task.shape[0], "longitude": task.shape[1]}
        return DataLoader(MapDataset(BatchGenerator(data, sizes)), batch_size=None, shuffle=True)

    return lambda _: (batch[:, 0, 0].numpy() for batch in loader())


def insitubatch(task: Task) -> Epoch:
    """Return its numpy batches; a data set of its own each epoch, since it keeps chunks where they fit."""
    from insitubatch import InSituDataset, open_geometries, split_by_chunk
    from zarr.storage import ObjectStore

    def epoch(number: int) -> Iterator[Any]:
        store = ObjectStore(_azure(task), read_only=True)
        geometries = open_geometries(store, variables=[ARRAY])
        data = InSituDataset(
            store, split_by_chunk(geometries[ARRAY], fractions=(1.0, 0.0, 0.0)), geometries=geometries,
            batch_size=task.batch, block_chunks=max(1, task.buffer // task.per_chunk), max_inflight=_IN_FLIGHT,
        )  # fmt: skip
        data.set_epoch(number)
        for batch in data.train:
            yield batch.arrays[ARRAY][:, 0, 0]
        data.close()

    return epoch


def beluga(task: Task) -> Epoch:
    """Return zarr-beluga's samples, chunk by chunk as far as the order goes, put together to batches."""
    import beluga as library
    import numpy as np

    @functools.cache
    def reader() -> Any:
        options = {
            "azure_storage_account_name": task.account, "azure_storage_account_key": task.key,
            "azure_storage_endpoint": task.endpoint, "azure_allow_http": "true", "allow_http": "true",
        }  # fmt: skip
        return library.open_zarr_group(f"az://{task.container}", task.store, variables=[ARRAY], store_options=options)

    def epoch(number: int) -> Iterator[Any]:
        order = [at for numbers in whole_chunks(task, number) for at in numbers]
        stream = reader().stream(order, frames=1)
        batch = np.empty((task.batch, *task.shape), np.float32)
        for at, sample in enumerate(stream, 1):
            batch[(at - 1) % task.batch] = np.from_dlpack(sample)[0, 0]
            if not at % task.batch:
                yield batch[:, 0, 0].copy()
                batch = np.empty_like(batch)

    return epoch


WAYS: dict[str, Callable[[Task], Epoch]] = {
    "jupyter_gpu_ext": ours,
    "chunks by sockets, decoded, dropped: a limit": functools.partial(limit, fetching=by_socket),
    "chunks by obstore, decoded, dropped: a limit": functools.partial(limit, fetching=by_obstore),
    "zarr (obstore) + DataLoader, batches of whole chunks": functools.partial(zarr_loader, kind="object"),
    "the same, 2 workers": functools.partial(zarr_loader, kind="object", workers=2),
    "zarr (fsspec) + DataLoader, batches of whole chunks": functools.partial(zarr_loader, kind="fsspec"),
    "zarr (obstore) + DataLoader, a sample at a time": functools.partial(zarr_loader, kind="object", naive=True),
    "xbatcher (obstore) + DataLoader": xbatcher,
    "insitubatch, numpy": insitubatch,
    "zarr-beluga, numpy": beluga,
}


class Processes:
    """This process and its workers."""

    def __init__(self) -> None:
        # From here on the most memory counts anew.
        Path("/proc/self/clear_refs").write_text("5")
        self._own_kb = _memory_kb(os.getpid(), "VmRSS")

    def cpu_seconds(self) -> float:
        """Return what all of them have computed so far."""
        return sum(_cpu_seconds(one) for one in [os.getpid(), *_children()])

    def peak_mb(self) -> float:
        """Return the most memory so far: of this one beyond its imports, of workers all that is theirs."""
        own = _memory_kb(os.getpid(), "VmHWM") - self._own_kb
        others = sum(_memory_kb(one, "VmHWM") - _memory_kb(one, "RssFile") for one in _children())
        return (own + others) * 1024 / 1e6


def _children() -> list[int]:
    found = []
    for thread in Path("/proc/self/task").iterdir():
        # A thread may end just now; those that have workers do not.
        with contextlib.suppress(FileNotFoundError):
            found += [int(one) for one in (thread / "children").read_text().split()]
    return found


def _cpu_seconds(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _memory_kb(process: int, name: str) -> int:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def measured(task: Task, epoch: Epoch) -> Taken:
    """Go through two epochs, each until its time is over: the first for its first batch, the second for its pace."""
    # What imports left behind would be looked through in the first collections: a quarter of a second with torch.
    gc.collect()
    gc.freeze()
    processes = Processes()
    begun = time.perf_counter()
    first_seconds = 0.0
    for number in (0, 1):
        seen, total = 0, 0.0
        started, cpu = time.perf_counter(), processes.cpu_seconds()
        for numbers in epoch(number):
            first_seconds = first_seconds or time.perf_counter() - begun
            seen, total = seen + len(numbers), total + float(numbers.sum())
            if time.perf_counter() - started > task.most_seconds:
                break
        else:
            if (seen, total) != (task.samples, task.samples * (task.samples - 1) / 2):
                raise SystemExit(f"{seen} samples with the sum {total} are no epoch")
    return Taken(
        first_seconds=first_seconds,
        samples=seen,
        seconds=time.perf_counter() - started,
        cpu_seconds=processes.cpu_seconds() - cpu,
        peak_mb=processes.peak_mb(),
    )


def main() -> None:
    """Run a task."""
    fields = json.loads(sys.argv[1])
    task = Task(**{**fields, "shape": tuple(fields["shape"])})
    print(json.dumps(asdict(measured(task, WAYS[task.way](task)))), flush=True)
    # What a way keeps open is not its row's.
    os._exit(0)


if __name__ == "__main__":
    main()
