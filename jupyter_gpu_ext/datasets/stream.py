"""What all streams have: samples in an order of their own, read ahead, shared by ranks and workers, resumed."""

from __future__ import annotations

import dataclasses
import os
import time
from collections import deque
from itertools import islice
from multiprocessing.context import get_spawning_popen
from typing import TYPE_CHECKING, Any, Self

from jupyter_gpu_ext.datasets.bring import Bringing
from jupyter_gpu_ext.datasets.hot import Hot
from jupyter_gpu_ext.datasets.iteration import ITERATIONS, Before, Iteration
from jupyter_gpu_ext.datasets.numbers import whole
from jupyter_gpu_ext.datasets.prefetch import made_ahead
from jupyter_gpu_ext.datasets.rank import rank_and_world, reader_of
from jupyter_gpu_ext.datasets.recipe import Batch, Recipe, Step, items
from jupyter_gpu_ext.datasets.report import Report
from jupyter_gpu_ext.datasets.shard import Reader, parts, share
from jupyter_gpu_ext.datasets.shuffle import Shuffle, block_order, draw, left_after
from jupyter_gpu_ext.errors import BadRequestError, NotInstalledError
from jupyter_gpu_ext.storage.loop import LOOP
from jupyter_gpu_ext.tensors.precision import parse_dtype
from jupyter_gpu_ext.text import printable, redact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from jupyter_gpu_ext.datasets.engine import Engine
    from jupyter_gpu_ext.datasets.protocols import Asked, Samples, Source
    from jupyter_gpu_ext.datasets.samples import OnError
    from jupyter_gpu_ext.datasets.shard import Part, Uneven
    from jupyter_gpu_ext.datasets.shuffle import Drawn

MEMORY_BYTES = 512 << 20
# A block is a small part of that, so that several are held and others come meanwhile.
BLOCKS = 16
_FORMAT = 1


def _base() -> Any:
    """Return torch's class where torch is there: a `DataLoader` asks for it."""
    try:
        from torch.utils.data import IterableDataset
    except ImportError:
        return object
    return IterableDataset


class Stream(_base()):  # type: ignore[misc]  # torch may be absent
    """The chain of every stream: an order, functions, batches, a device; ranks and workers; where it is.

    Each method of the chain returns a new stream. What is read, and how, its subclasses say: `_open`, `_engine`,
    `_samples`.
    """

    _recipe: Recipe
    _epoch: int
    _state: dict[str, Any] | None
    _resumes: bool
    _ranks: tuple[int, int] | None
    _source: Source | None
    _hot: Hot
    _pid: int
    _iteration: Iteration | None
    _in_workers: bool

    def _ask(self, asked: Asked, *, memory_bytes: int, uneven: Uneven, on_error: OnError) -> None:
        """Begin the chain."""
        if uneven not in {"drop", "pad"} or on_error not in {"raise", "skip"}:
            raise BadRequestError(
                "uneven is 'drop' or 'pad', on_error 'raise' or 'skip'.", hint="Leave them out for the defaults."
            )
        recipe = Recipe(asked=asked, memory_bytes=memory_bytes, uneven=uneven, on_error=on_error)
        self.__setstate__({"recipe": recipe, "epoch": 0, "state": None, "resumes": False, "ranks": None})

    async def _open(self, asked: Any) -> Source:
        """Open what is read."""
        raise NotImplementedError

    def _engine(self, source: Any, parts: Mapping[int, Part], hot: Hot) -> Engine[Any]:
        """Begin to fetch parts ahead."""
        raise NotImplementedError

    def _samples(self, source: Any, engine: Any, drawn: Iterator[Drawn], left: dict[int, int]) -> Samples:
        """Return what takes samples out of the parts."""
        raise NotImplementedError

    def shuffle(self, seed: int = 0, buffer: int = 1024) -> Self:
        """Return the stream in another order each epoch: blocks are permuted, samples drawn across `buffer` of them."""
        self._check_no_batch("shuffle")
        hint = ".shuffle(seed=0, buffer=1024)"
        return self._with(shuffle=Shuffle(seed=whole(seed, 0, "seed", hint), buffer=whole(buffer, 1, "buffer", hint)))

    def filter(self, function: Callable[[Any], Any]) -> Self:
        """Return the stream of those items that the function likes; it has no length then."""
        return self._then(Step(kind="filter", function=function))

    def map(self, function: Callable[[Any], Any]) -> Self:
        """Return the stream of what the function makes of each item: of batches after `.batch`, else of samples."""
        return self._then(Step(kind="map", function=function))

    def batch(self, size: int, *, drop_last: bool = False, collate: Callable[[list[Any]], Any] | None = None) -> Self:
        """Return the stream of batches of `size` samples, stacked or as `collate` makes them of a list."""
        self._check_no_batch("batch")
        size = whole(size, 1, "The size of a batch", ".batch(32)")
        return self._with(batch=Batch(size=size, drop_last=drop_last, collate=collate))

    def prefetch(self, count: int) -> Self:
        """Return the stream with `count` items made ahead in a thread, functions of the chain included."""
        return self._with(prefetch=whole(count, 0, "What is made ahead", ".prefetch(2)"))

    def cache(self, most_bytes: int) -> Self:
        """Return the stream that keeps so many bytes in memory for later epochs, of what came first.

        They are asked for no more, as long as this object lives and the store stays as it is; each worker of a
        `DataLoader` keeps its own, for as long as the worker does.
        """
        return self._with(hot_bytes=whole(most_bytes, 0, "What is kept, in bytes,", ".cache(4 << 30) keeps 4 GiB."))

    def to(self, device: str = "auto", dtype: Any = None) -> Self:
        """Return the stream with the tensors of each item on a device, floating point ones as `dtype`.

        Copies go by page-locked memory, on a stream of their own beside what is computed; what the iterating thread
        computes next on the stream that was current when the iteration began waits for them by itself. It is the last
        thing that happens to an item, after `.map` and `.prefetch`, wherever in the chain it stands.
        """
        if _base() is object:
            raise NotInstalledError(
                "A stream brings items to a device by torch, which is not installed.",
                hint="Install torch, or leave out .to: items are numpy arrays then.",
            )
        return self._with(device=str(device), dtype=parse_dtype(dtype))

    @property
    def epoch(self) -> int:
        """The epoch whose order comes next."""
        return self._epoch

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of the next epoch; where another one was resumed, that is over."""
        epoch = whole(epoch, 0, "An epoch", "The first one is 0.")
        if epoch != self._epoch:
            self._epoch, self._state = epoch, None

    def state_dict(self) -> dict[str, Any]:
        """Return where the stream is, as plain data: `load_state_dict` and an iteration give exactly the rest.

        It serves every rank, where all are at the same item of their shares, as they are after a step. In the workers
        of a `DataLoader` each has a state of its own, which a `StatefulDataLoader` gathers.

        Raises
        ------
        BadRequestError
            In the process that handed the stream to such workers: it does not know where they are.
        """
        if self._in_workers:
            raise BadRequestError(
                "The stream is read in the workers of a DataLoader, which alone know where they are.",
                hint="Keep the loader's state: torchdata.stateful_dataloader.StatefulDataLoader; or num_workers=0.",
            )
        if self._state is not None:
            return dict(self._state)
        return self._state_at(self._opened(), self._reader())

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state` says, with the next iteration.

        Of another rank's state the same item of this rank's share is next. With a filter or `on_error='skip'`, which
        decide at which sample that is, what came before it is read once more.

        Raises
        ------
        BadRequestError
            When the state is of another stream: other samples, another shuffle, batch or number of ranks (when the
            iteration begins).
        """
        if state.get("format") != _FORMAT or not {"epoch", "done", "items", "digest", "reader"} <= state.keys():
            raise BadRequestError("This is no state of a stream.", hint="Give what state_dict() returned.")
        self._state, self._epoch, self._resumes = dict(state), int(state["epoch"]), True

    def report(self) -> Report:
        """Return what the last iteration of this process took."""
        return Report() if self._iteration is None else self._iteration.report()

    def __repr__(self) -> str:
        recipe, chain = self._recipe, ""
        if recipe.shuffle is not None:
            chain += f".shuffle(seed={recipe.shuffle.seed}, buffer={recipe.shuffle.buffer})"
        if recipe.batch is not None:
            chain += f".batch({recipe.batch.size})"
        return f"{type(self).__name__}({printable(redact(recipe.asked.url))!r}){chain}"

    def __len__(self) -> int:
        """Return how many items this rank has of an epoch, whatever the number of workers."""
        if self._recipe.filters:
            raise TypeError("A stream with .filter has no length: the function decides.")
        return self._recipe.count(self._opened().blocks.samples, self._reader().world)

    def __iter__(self) -> Iterator[Any]:
        self._check_not_forked()
        self._in_workers = False
        source, reader = self._opened(), self._reader()
        begun = self._begun_at(self._state_at(source, reader))
        try:
            yield from self._read(source, reader, begun)
        except GeneratorExit:
            # Whoever leaves early finds the same again.
            raise
        except BaseException:
            # Whatever it was: the next one looks at the store anew.
            self._source = None
            raise

    def _read(self, source: Source, reader: Reader, state: dict[str, Any]) -> Iterator[Any]:
        recipe, blocks, epoch, skip = self._recipe, source.blocks, state["epoch"], state["done"]
        mine = self._parts_of(source, reader, epoch)
        left = left_after(blocks, mine, recipe.shuffle, epoch, skip)
        drawn = draw(blocks, mine, recipe.shuffle, epoch, skip)
        bringing = Bringing(recipe.device, recipe.dtype, source.shown) if recipe.device else None
        # Nothing is done, and yet items came: of another rank, and here they are made again.
        again = 0 if skip else state["items"]
        before = Before.of(source)
        with self._engine(source, {at: mine[at] for at in left}, self._hot) as engine:
            samples = self._samples(source, engine, drawn, left)
            run = Iteration(before=before, recipe=recipe, source=source, engine=engine, samples=samples)
            self._iteration = run
            ITERATIONS.add(run)
            made = run.timed(items(recipe, samples))
            if recipe.prefetch:
                made = made_ahead(made, recipe.prefetch, engine.close)
            try:
                deque(islice(made, again), maxlen=0)
                while True:
                    asked = time.monotonic()
                    item, done = next(made, (None, -1))
                    run.wait_seconds += time.monotonic() - asked
                    if done < 0:
                        break
                    run.items += 1
                    self._state = {**state, "done": skip + done, "items": state["items"] + run.items}
                    yield item if bringing is None else run.brought(bringing, item)
                engine.finish()
                # Of the items, all: another rank may have more of them, or fewer.
                self._state = {**state, "done": skip + samples.done, "items": None}
            finally:
                if bringing is not None:
                    bringing.close()
                made.close()  # type: ignore[attr-defined]  # both are generators
                run.end()

    def _parts_of(self, source: Source, reader: Reader, epoch: int) -> list[Part]:
        recipe, blocks = self._recipe, source.blocks
        stretch = share(
            blocks.samples,
            reader,
            uneven=recipe.uneven,
            batch=recipe.batch_size,
            drop_last=recipe.drop_last and not recipe.filters_samples,
        )
        return list(parts(blocks, block_order(blocks.count, recipe.shuffle, epoch), stretch))

    def _with(self, **changes: Any) -> Self:
        made = type(self).__new__(type(self))
        recipe = dataclasses.replace(self._recipe, **changes)
        made.__setstate__({"recipe": recipe, "epoch": self._epoch, "state": None, "resumes": False, "ranks": None})
        return made

    def _then(self, step: Step) -> Self:
        where = "before" if self._recipe.batch is None else "after"
        return self._with(**{where: (*getattr(self._recipe, where), step)})

    def _check_no_batch(self, what: str) -> None:
        if self._recipe.batch is not None:
            raise BadRequestError(f".{what} comes before .batch, once.", hint=".shuffle(seed=0).map(f).batch(32)")

    def _check_not_forked(self) -> None:
        if os.getpid() != self._pid:
            raise BadRequestError(
                "A stream cannot be read in a forked process: its connections stayed in the first one.",
                hint="DataLoader(stream, batch_size=None, num_workers=2, multiprocessing_context='spawn')",
            )

    def _opened(self) -> Any:
        if self._source is None:
            self._source = LOOP.run(self._open(self._recipe.asked))
            self._hot = Hot(self._recipe.hot_bytes)
        return self._source

    def _reader(self) -> Reader:
        return reader_of(self._ranks or rank_and_world())

    def _state_at(self, source: Source, reader: Reader) -> dict[str, Any]:
        """Return the state of an epoch that has not begun."""
        return {
            "format": _FORMAT,
            "epoch": self._epoch,
            "done": 0,
            "items": 0,
            "reader": dataclasses.asdict(reader),
            "digest": self._recipe.digest(source),
        }

    def _begun_at(self, there: dict[str, Any]) -> dict[str, Any]:
        """Return the state that was loaded since the last iteration, else the one of an epoch that has not begun."""
        state, resumes = self._state, self._resumes
        self._resumes = False
        if state is None or not resumes:
            self._state = None
            return there
        own, its = there["reader"], state["reader"]
        if {**own, "rank": 0} != {**its, "rank": 0}:
            raise BadRequestError(
                f"The state is of {_shown(its)}, this is {_shown(own)}.",
                hint="Go on with as many ranks and workers as before; each worker loads its own state.",
            )
        if there["digest"] != state["digest"]:
            raise BadRequestError(
                f"The state is of another order of samples than {printable(redact(self._recipe.asked.url))} has now.",
                hint="What is read, shuffle, batch and memory_bytes are to be what they were.",
            )
        is_same = own == its or self._recipe.is_even
        return {**state, "reader": own, "done": state["done"] if is_same else 0}

    def __getstate__(self) -> dict[str, Any]:
        # A process that begins with the stream reads it.
        self._in_workers |= get_spawning_popen() is not None
        # The connection's name goes along, never an open one; a worker is of the rank that starts it.
        return {
            "recipe": self._recipe,
            "epoch": self._epoch,
            "state": self._state,
            "resumes": self._resumes,
            "ranks": self._ranks or rank_and_world(),
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._recipe = state["recipe"]
        self._epoch = state["epoch"]
        self._state = state["state"]
        self._resumes = state["resumes"]
        self._ranks = state["ranks"]
        self._source = None
        # A forked process has the object, and none of its threads.
        self._pid = os.getpid()
        self._iteration = None
        self._in_workers = False


def _shown(reader: dict[str, int]) -> str:
    return f"rank {reader['rank']} of {reader['world']}, worker {reader['worker']} of {reader['workers']}"
