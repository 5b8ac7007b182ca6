"""Where the tensors of a file go in a model, as each comes: over the old elements, or ready to take their place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.errors import BadRequestError, DeviceError
from jupyter_gpu_ext.tensors.precision import stored_bytes
from jupyter_gpu_ext.tensors.torch_build import Builder, is_out_of_memory
from jupyter_gpu_ext.text import format_bytes, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import torch

    from jupyter_gpu_ext.tensors.copies import Copies
    from jupyter_gpu_ext.tensors.model_slots import Slot
    from jupyter_gpu_ext.tensors.models import Tensor
    from jupyter_gpu_ext.tensors.prepare import Prepared


class Landing:
    """One load into a model; told in the copying thread of each storage that is whole.

    Parameters
    ----------
    filled : mapping of Slot to Tensor
        Where each tensor of the file goes.
    dtype : str or None
        What floating point tensors become; the model's own type without it.
    moves : bool
        Whether tensors leave the device that they are on.

    Attributes
    ----------
    overwritten : int
        Tensors of the model that are new already.
    """

    def __init__(
        self,
        prepared: Prepared,
        filled: Mapping[Slot, Tensor],
        dtype: str | None,
        transform: Callable[[str, Any], Any] | None,
        *,
        moves: bool,
    ) -> None:
        self._storages: dict[str, torch.Tensor] = {}
        self.overwritten = 0
        self._prepared = prepared
        self._copies: Mapping[str, Copies] = {}
        self._filled = filled
        self._dtype = dtype
        self._moves = moves
        self._transform = transform
        self._ready: dict[Slot, torch.Tensor] = {}
        self._by_storage: dict[str, list[Slot]] = {}
        for slot, one in filled.items():
            self._by_storage.setdefault(one.storage, []).append(slot)
        self._anew = {slot for slot in filled if self._is_new(slot)}
        self._waits = self._has_room_beside()

    def check_fit(self) -> None:
        """Refuse what does not fit beside what the model holds.

        Raises
        ------
        DeviceError
            With what is needed.
        """
        for device, need in self._needs().items():
            room = self._prepared.rooms.get(device)
            if room is not None and need > room.free_bytes:
                raise DeviceError(
                    f"{printable(self._prepared.file.url)} needs {format_bytes(need)} on {device}; this notebook can "
                    f"have {format_bytes(room.free_bytes)} of {format_bytes(room.total_bytes)}; nothing was loaded.",
                    hint="--device fit puts on the cpu what does not fit; `%gpu` shows what is in use.",
                )

    @property
    def count(self) -> int:
        """Tensors of the model that the load fills."""
        return len(self._filled)

    def begin(self, storages: dict[str, torch.Tensor], copies: Mapping[str, Copies]) -> None:
        """Take the assembly's storages, of which what has landed is taken out, and the ways to the devices."""
        self._storages, self._copies = storages, copies

    def landed(self, storage: str) -> None:
        """Take a storage's tensors to the model, and let the storage go."""
        for slot in self._by_storage[storage]:
            self._land(slot, self._filled[slot])
        del self._storages[storage]

    def drop(self) -> None:
        """Let go what was ready."""
        self._ready.clear()

    def settle(self) -> list[tuple[str, int, Any]]:
        """Put in place what is ready; return each new tensor with its storage and size."""
        made = []
        for slot, value in self._ready.items():
            if slot in self._anew:
                slot.replace(value)
                made.append((self._filled[slot].storage, value.nbytes, slot.tensor))
            else:
                slot.fill(value)
        self._ready.clear()
        return made

    def _land(self, slot: Slot, one: Tensor) -> None:
        import torch

        with torch.no_grad():
            way = self._copies[self._prepared.placed[one.storage]]
            value = self._built(one)
            if slot not in self._anew and not self._waits:
                way.cast(slot.tensor.detach(), value)
                self.overwritten += 1
                return
            if slot in self._anew:
                value = self._own(slot, one, value, way)
            self._ready[slot] = value if self._transform is None else self._transformed(slot, value, way)

    def _built(self, one: Tensor) -> torch.Tensor:
        types = {key: new for key, (_, new) in self._prepared.changed.items()}
        value = Builder(self._storages, self._prepared.plan.spans, types, self._dtype)(one)
        return value.detach()  # type: ignore[no-any-return]

    def _own(self, slot: Slot, one: Tensor, value: torch.Tensor, way: Copies) -> torch.Tensor:
        """Return a tensor with memory of its own, in the type it is to have."""
        dtype = value.dtype if self._dtype is not None else slot.tensor.dtype
        whole = value.nbytes == len(self._storages[one.storage]) and value.is_contiguous()
        if dtype == value.dtype and whole and len(self._by_storage[one.storage]) == 1:
            return value
        size = value.numel() * dtype.itemsize
        try:
            new = way.empty(size).view(dtype).view(value.shape)
        except (RuntimeError, MemoryError, OSError) as error:
            if not is_out_of_memory(error):
                raise
            raise DeviceError(
                f"{printable(slot.names[0])} does not fit: there is no room for {format_bytes(size)} more.",
                hint="`%gpu` shows what is in use.",
            ) from None
        way.cast(new, value)
        return new

    def _transformed(self, slot: Slot, value: torch.Tensor, way: Copies) -> torch.Tensor:
        import torch

        # On the caller's stream, whose memory it keeps.
        way.join()
        with way.as_caller():
            made = self._transform(slot.names[0], value) if self._transform is not None else value
        if not isinstance(made, torch.Tensor):
            raise BadRequestError(
                f"transform gave a {type(made).__name__} for {printable(slot.names[0])}; nothing was changed.",
                hint="It returns a tensor or a parameter.",
            )
        return made

    def _is_new(self, slot: Slot) -> bool:
        """Whether a tensor gets other memory: it has none, or belongs elsewhere, or becomes something else."""
        device = self._prepared.placed[self._filled[slot].storage]
        kept_type = self._dtype is None or not slot.tensor.is_floating_point() or self._dtype == _name(slot.tensor)
        leaves = self._moves and str(slot.tensor.device) != device
        return self._transform is not None or slot.on_meta or leaves or not kept_type

    def _needs(self) -> dict[str, int]:
        """Return what each device is asked for: the new tensors, and the largest one that is on its way."""
        largest: dict[str, int] = {}
        new: dict[str, int] = {}
        for key, size in stored_bytes(self._prepared.plan, self._prepared.changed).items():
            device = self._prepared.placed[key]
            span = self._prepared.plan.spans[key].size_bytes
            anew = [slot for slot in self._by_storage[key] if slot in self._anew]
            own = [self._size(slot) for slot in anew]
            new[device] = new.get(device, 0) + sum(own)
            on_its_way = span if key in self._prepared.changed or not own or sum(own) != size else 0
            largest[device] = max(largest.get(device, 0), on_its_way)
        return {device: size + largest[device] for device, size in new.items()}

    def _size(self, slot: Slot) -> int:
        from jupyter_gpu_ext.tensors.models import ITEM_BYTES

        item = slot.tensor.element_size()
        if self._dtype is not None and slot.tensor.is_floating_point():
            item = ITEM_BYTES[self._dtype]
        return slot.tensor.numel() * item

    def _has_room_beside(self) -> bool:
        """Whether what is overwritten can wait beside the model until everything has come."""
        needs = self._needs()
        sizes = stored_bytes(self._prepared.plan, self._prepared.changed)
        for key, size in sizes.items():
            if any(slot not in self._anew for slot in self._by_storage[key]):
                needs[self._prepared.placed[key]] += size
        rooms = self._prepared.rooms
        return all(device in rooms and need <= rooms[device].fill_bytes for device, need in needs.items())


def _name(tensor: torch.Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
