"""What a stream's chain says, as data: samples in their order, functions on them, batches, functions on those."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from jupyter_gpu_ext.datasets.shard import batches_a_rank, samples_a_rank
from jupyter_gpu_ext.datasets.stack import stack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from jupyter_gpu_ext.datasets.protocols import Asked, Samples, Source
    from jupyter_gpu_ext.datasets.samples import OnError
    from jupyter_gpu_ext.datasets.shard import Uneven
    from jupyter_gpu_ext.datasets.shuffle import Shuffle


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A person's function on one sample or batch: `map` puts its result in the place, `filter` keeps what it likes."""

    kind: Literal["map", "filter"]
    function: Callable[[Any], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """How samples become batches; without `collate` they are stacked."""

    size: int
    drop_last: bool = False
    collate: Callable[[list[Any]], Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """All that a stream was asked for.

    Attributes
    ----------
    before, after : tuple of Step
        On samples, and on batches.
    hot_bytes : int
        What stays in memory for later epochs.
    device : str
        Where items are brought; '' leaves them on the host.
    """

    asked: Asked
    memory_bytes: int
    uneven: Uneven
    on_error: OnError
    shuffle: Shuffle | None = None
    before: tuple[Step, ...] = ()
    batch: Batch | None = None
    after: tuple[Step, ...] = ()
    prefetch: int = 0
    hot_bytes: int = 0
    device: str = ""
    dtype: str | None = None

    @property
    def filters(self) -> bool:
        """Whether a person's function decides how many items there are."""
        return any(one.kind == "filter" for one in (*self.before, *self.after))

    @property
    def filters_samples(self) -> bool:
        """Whether batches are made of what a function left."""
        return any(one.kind == "filter" for one in self.before)

    @property
    def is_even(self) -> bool:
        """Whether ranks are at the same sample of their shares after as many items: the chain alone decides."""
        return not self.filters and self.on_error == "raise"

    @property
    def batch_size(self) -> int:
        """Samples an item."""
        return 1 if self.batch is None else self.batch.size

    @property
    def drop_last(self) -> bool:
        """Whether a batch that is not full at the end is left out."""
        return self.batch is not None and self.batch.drop_last

    def count(self, samples: int, world: int) -> int:
        """Return how many items a rank has of an epoch, if no function filters and nothing is lost."""
        return batches_a_rank(samples_a_rank(samples, world, self.uneven), self.batch_size, drop_last=self.drop_last)

    def digest(self, source: Source) -> str:
        """Return what tells one order of samples from another: a state fits only where it is the same."""
        said = (source.digest, source.blocks.windows, self.shuffle, self.uneven, self.batch_size, self.drop_last)
        return hashlib.sha256(source.blocks.firsts.tobytes() + repr(said).encode()).hexdigest()[:16]


def items(recipe: Recipe, samples: Samples) -> Iterator[tuple[Any, int]]:
    """Yield the items of a recipe, each with how many samples are over when it is used."""
    for item, done in _batches(recipe, samples) if recipe.batch else _singles(recipe, samples):
        changed, kept = apply(recipe.after, item)
        if kept:
            yield changed, done


def apply(steps: tuple[Step, ...], item: Any) -> tuple[Any, bool]:
    """Return what the steps make of an item, and whether it is kept."""
    for step in steps:
        if step.kind == "map":
            item = step.function(item)
        elif not step.function(item):
            return item, False
    return item, True


def _singles(recipe: Recipe, samples: Samples) -> Iterator[tuple[Any, int]]:
    while (sample := samples.one()) is not None:
        item, kept = apply(recipe.before, sample)
        if kept:
            yield item, samples.done


def _batches(recipe: Recipe, samples: Samples) -> Iterator[tuple[Any, int]]:
    batch = recipe.batch
    if batch is None:
        return
    if not recipe.before and batch.collate is None:
        while (found := samples.many(batch.size)) is not None:
            if not batch.drop_last or found[1] == batch.size:
                yield found[0], samples.done
        return
    collected, done = [], 0
    for item, done in _singles(recipe, samples):
        collected.append(item)
        if len(collected) == batch.size:
            yield (batch.collate or stack)(collected), done
            collected = []
    if collected and not batch.drop_last:
        yield (batch.collate or stack)(collected), samples.done
