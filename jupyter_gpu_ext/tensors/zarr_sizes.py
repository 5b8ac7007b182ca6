"""How many stored bytes a read of Zarr arrays means: the sizes of a few objects stand for all."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from jupyter_gpu_ext.errors import NotFoundError
from jupyter_gpu_ext.tensors.objects import FIRST_BYTES, together

if TYPE_CHECKING:
    from jupyter_gpu_ext.tensors.array_plan import ArrayPlan
    from jupyter_gpu_ext.tensors.chunks import ObjectRead
    from jupyter_gpu_ext.tensors.zarr_store import ZarrPlan

# Asked for at once; a listing would bring a thousand sizes a request, one request after the other, wanted or not.
SAMPLES = 16


async def stored_bytes(plan: ZarrPlan) -> tuple[int, int]:
    """Return the stored bytes of what a plan reads, and how many objects' sizes were asked for to know it.

    At most `SAMPLES`, evenly spread; where these are all, and no shards, the bytes are exact.
    """
    total = plan.object_count
    wanted = {total * at // SAMPLES for at in range(SAMPLES)} if total > SAMPLES else set(range(total))
    reads = enumerate(itertools.chain.from_iterable(_reads(one) for one in plan.arrays.values()))
    sample = [read for at, read in reads if at in wanted]
    sizes = dict[str, int]()

    async def ask(key: str) -> None:
        plan.node.objects.requests += 1
        try:
            sizes[key] = (await plan.node.objects.backend.head(plan.node.objects.key(key))).size_bytes or 0
        except NotFoundError:
            sizes[key] = 0

    await together(ask(one.key) for _, one in sample)
    decoded = sum(_object_bytes(array) for array, _ in sample)
    share = sum(sizes.values()) / decoded if decoded else 0
    used = sum(one.chunk_count * one.array.chunk_bytes for one in plan.arrays.values())
    return round(share * used), len(sample)


def _reads(plan: ArrayPlan) -> list[tuple[ArrayPlan, ObjectRead]]:
    return [(plan, one) for one in plan.objects]


def _object_bytes(plan: ArrayPlan) -> int:
    return plan.array.chunk_bytes * (plan.array.index.count if plan.array.index else 1)


def requests_of(plan: ZarrPlan) -> int:
    """Return how many requests for chunks a read means, as long as the chunks of a shard lie together."""
    return sum(_requests(one, read) for one in plan.arrays.values() for read in one.objects)


def _requests(plan: ArrayPlan, read: ObjectRead) -> int:
    index = plan.array.index
    if index is None:
        return -(-plan.array.chunk_bytes // FIRST_BYTES)
    whole = len(read.parts) == index.count
    # All of a small shard comes with its first bytes; else these, the index, and a run of chunks.
    return 1 if whole and index.size_bytes + index.count * plan.array.most_stored_bytes <= FIRST_BYTES else 3
