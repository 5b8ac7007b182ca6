"""Load into a model that is there: each tensor lands as its last range comes, and its copy is dropped at once.

Whole or not at all where the memory allows it: what has no memory yet (the meta device), moves to another device or
changes its type is made anew and put in place at the end; what is overwritten is kept beside the model until everything
has come, if there is room for that. If there is not, the model is overwritten as the bytes come; stopped half way, it
refuses to run until a load into it has come to its end.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.errors import GpuExtError
from jupyter_gpu_ext.tensors import fetching
from jupyter_gpu_ext.tensors.device import Target
from jupyter_gpu_ext.tensors.holdings import HOLDINGS
from jupyter_gpu_ext.tensors.landing import Landing
from jupyter_gpu_ext.tensors.matching import check, match
from jupyter_gpu_ext.tensors.model_slots import mark_half_loaded, slots, unmark
from jupyter_gpu_ext.tensors.plan import choose, plan_of
from jupyter_gpu_ext.tensors.prepare import prepare, want
from jupyter_gpu_ext.tensors.receipts import RECEIPTS
from jupyter_gpu_ext.tensors.unfinished import UNFINISHED
from jupyter_gpu_ext.tensors.uninterrupted import uninterrupted
from jupyter_gpu_ext.text import format_count, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from jupyter_gpu_ext.storage.progress import Progress
    from jupyter_gpu_ext.tensors.assembly import Assembly
    from jupyter_gpu_ext.tensors.matching import Match
    from jupyter_gpu_ext.tensors.model_slots import Slot
    from jupyter_gpu_ext.tensors.models import Tensor, TensorFile
    from jupyter_gpu_ext.tensors.open import Opened
    from jupyter_gpu_ext.tensors.prepare import Prepared, Wanted
    from jupyter_gpu_ext.tensors.receipt import Receipt

_CLOSE_SECONDS = 5.0


@dataclass(frozen=True, slots=True, repr=False)
class Loaded:
    """What a load into a model did; prints as one line.

    Attributes
    ----------
    model : str
        The model's class.
    match : Match
        What was filled, and, of a load that was not strict, what did not fit.
    on_meta : tuple of str
        What has no memory still: in no file, because it is computed, or missing.
    """

    model: str
    match: Match
    on_meta: tuple[str, ...]
    receipt: Receipt

    def __str__(self) -> str:
        words = [f"{self.model}: {self.receipt}", *self.match.words()]
        if self.on_meta:
            few = ", ".join(printable(name[:120]) for name in self.on_meta[:5])
            words.append(f"still on meta: {format_count(len(self.on_meta), 'tensor')} ({few})")
        return "; ".join(words)

    __repr__ = __str__


def load_into(
    model: Any,
    url: str,
    *,
    strict: bool = True,
    rename: Mapping[str, str] | None = None,
    transform: Callable[[str, Any], Any] | None = None,
    keys: Sequence[str] = (),
    device: Any = None,
    dtype: Any = None,
    cache: bool | None = None,
    fit_check: bool = True,
    report: Callable[[Progress], None] = lambda _: None,
) -> Loaded:
    """Load a tensor file into a model, in place, without a second model in memory.

    Parameters
    ----------
    model : torch.nn.Module
        On any device; what is on `meta` gets its memory tensor by tensor. Tied parameters stay tied, optimizers keep
        referring to the model's parameters.
    url : str
        'connection://key', or the path of a local file.
    strict : bool
        Refuse, before any data moves, a file in which a name is missing, left over or of another shape. Otherwise what
        fits is loaded, and the report says what did not.
    rename : mapping of str to str, optional
        The file's names to the model's, by globs with one '*': `{"module.*": "*"}`.
    transform : callable, optional
        Called with the model's name and the tensor as it lands, on its device and in its type; what it returns takes
        the parameter's place. For instance to quantise.
    keys : sequence of str
        Globs over the file's own names; the rest of the model stays as it is.
    device : str, optional
        As for `load`. Without it each tensor stays where it is, and what is on meta goes where `auto` says.
    dtype : str or torch.dtype, optional
        What floating point tensors become. Without it each keeps the model's type.
    cache, fit_check
        As for `load`.
    report : callable
        Called with the progress five times a second, in the caller's thread.

    Returns
    -------
    Loaded
        Prints as one line.

    Raises
    ------
    BadRequestError
        When the file does not fit the model, with all that does not, or `transform` returns no tensor.
    DeviceError
        When a device is not here or has no room.
    NotFoundError, DeniedError, UnreachableError, ObjectChangedError, UnsupportedFormatError, TensorFormatError
        As `load`.
    """
    wanted = want("auto" if device is None else device, keys, dtype)
    started = time.monotonic()
    places = [one for one in slots(model) if one.persistent]
    UNFINISHED.release()
    opened = fetching.open_file(url, keys=(), cache=cache, report=report)
    found = _match(opened.file, places, wanted, rename or {}, strict=strict)
    filled = {slot: opened.file.tensors[found.sources[at]] for at, slot in enumerate(places) if at in found.sources}
    prepared = _prepare(opened.file, wanted, filled, found, stays=device is None)
    landing = Landing(prepared, filled, wanted.dtype, transform, moves=device is not None)
    if fit_check:
        landing.check_fit()
    assembly = _land(model, opened, prepared, landing, report)
    _settle(model, landing, prepared, wanted)
    receipt = fetching.receipt(opened, prepared, assembly, time.monotonic() - started)
    RECEIPTS.add(type(model).__name__, receipt)
    on_meta = tuple(name for one in slots(model) if one.on_meta for name in one.names[:1])
    return Loaded(type(model).__name__, found, on_meta, receipt)


def _land(
    model: Any, opened: Opened, prepared: Prepared, landing: Landing, report: Callable[[Progress], None]
) -> Assembly:
    copies = fetching.ways(prepared)
    assembly = fetching.new_assembly(prepared, copies, landing.landed)
    landing.begin(assembly.storages, copies)
    try:
        fetching.fetch(opened, prepared, assembly, copies, report)
    except BaseException as error:
        # An interrupted caller goes on before the copying thread has stopped.
        assembly.closed.wait(_CLOSE_SECONDS)
        assembly.drop()
        landing.drop()
        if landing.overwritten:
            _say_half_loaded(model, error, landing)
        raise
    return assembly


def _settle(model: Any, landing: Landing, prepared: Prepared, wanted: Wanted) -> None:
    with uninterrupted():
        # Should a moment without room make this fail, the mark stays.
        mark_half_loaded(model)
        made = landing.settle()
        unmark(model)
    for device in dict.fromkeys(prepared.placed.values()):
        here = [(storage, size, tensor) for storage, size, tensor in made if prepared.placed[storage] == device]
        target = wanted.targets.get(device) or Target(device)
        HOLDINGS.add(type(model).__name__, prepared.file.url, target, here)


def _match(
    file: TensorFile, places: Sequence[Slot], wanted: Wanted, rename: Mapping[str, str], *, strict: bool
) -> Match:
    shapes = {name: one.shape for name, one in choose(file, wanted.keys).items()}
    named = [one.place for one in places]
    found = match(shapes, named, rename, partly=bool(wanted.keys))
    check(found, named, file.url, strict=strict)
    return found


def _prepare(file: TensorFile, wanted: Wanted, filled: Mapping[Slot, Tensor], found: Match, *, stays: bool) -> Prepared:
    names = set(found.sources.values())
    chosen = {name: one for name, one in file.tensors.items() if name in names}
    plan = plan_of(file, chosen, parts=len(chosen) < len(file.tensors))
    if not stays:
        return prepare(file, wanted, plan=plan)
    anew = wanted.devices.rules[0][1]
    placed: dict[str, str] = {}
    for slot, one in filled.items():
        placed.setdefault(one.storage, anew if slot.on_meta else str(slot.tensor.device))
    return prepare(file, wanted, plan=plan, placed=placed)


def _say_half_loaded(model: Any, error: BaseException, landing: Landing) -> None:
    mark_half_loaded(model)
    words = (
        f"The model is half loaded ({landing.overwritten} of {landing.count} tensors are new) and refuses to run until "
        "it is whole."
    )
    if isinstance(error, GpuExtError):
        error.message = f"{error.message} {words}"
        error.args = (error.message,)
    elif isinstance(error, KeyboardInterrupt):
        error.args = (words,)
