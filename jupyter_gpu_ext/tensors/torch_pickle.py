"""What torch.save would pickle, without the bytes of the tensors: the description, and the storages it names."""

from __future__ import annotations

import io
import pickle
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.errors import BadRequestError, GpuExtError
from jupyter_gpu_ext.tensors.formats.torch_archive import ALIGNMENT_BYTES, in_memory
from jupyter_gpu_ext.tensors.formats.torch_pickle import NeedsTorchError, examine
from jupyter_gpu_ext.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence, Sized

    import torch

_NOTHING_SENT = "nothing was written"


@dataclass(frozen=True, slots=True, eq=False)
class Description:
    """A value taken apart.

    Attributes
    ----------
    storages : sequence of torch.UntypedStorage
        In the order of their keys: '0', '1' …
    """

    pickled: bytes
    storages: Sequence[torch.UntypedStorage]
    tensor_count: int


def describe(value: Any) -> Description:
    """Take a value apart for an archive that torch's safe reader and ours load.

    Raises
    ------
    BadRequestError
        When it holds more than tensors and plain data; names what.
    """
    buffer = io.BytesIO()
    pickler = _Pickler(buffer)
    try:
        pickler.dump(value)
    except GpuExtError:
        raise
    except RecursionError:
        raise BadRequestError(f"The value is nested too deeply, {_NOTHING_SENT}.", hint="Save a flatter one.") from None
    except Exception as error:  # noqa: BLE001 -- a value's own code runs when it is pickled
        raise BadRequestError(
            f"The value cannot be saved, {_NOTHING_SENT}: {printable(str(error)[:200])}.",
            hint="Save tensors and plain data: state_dict(), numbers, texts, dicts, lists.",
        ) from None
    pickled = buffer.getvalue()
    return Description(pickled, tuple(pickler.storages.values()), _check(pickled))


def members(pickled: bytes, storages: Iterable[Sized]) -> list[tuple[str, Sized]]:
    """Return the archive's members, as torch.save names and orders them."""
    return [
        ("data.pkl", pickled),
        (".format_version", b"1"),
        (".storage_alignment", str(ALIGNMENT_BYTES).encode()),
        ("byteorder", b"little"),
        *((f"data/{key}", storage) for key, storage in enumerate(storages)),
        ("version", b"3\n"),
    ]


class _Pickler(pickle.Pickler):
    """Puts a storage's name where its bytes would be, as torch.save does."""

    def __init__(self, file: io.BytesIO) -> None:
        # torch's safe reader knows protocol 2.
        super().__init__(file, protocol=2)
        self.storages: dict[int, torch.UntypedStorage] = {}
        self._keys: dict[int, str] = {}
        self._dtypes: dict[int, torch.dtype] = {}

    def persistent_id(self, thing: Any) -> tuple[Any, ...] | None:
        """Return what stands for a storage, None for anything else."""
        import torch

        if isinstance(thing, torch.storage.TypedStorage):
            # The names torch.save itself uses; the public ones warn.
            storage, dtype = thing._untyped_storage, thing.dtype  # noqa: SLF001
            count = storage.nbytes() // dtype.itemsize
            kind = getattr(torch, thing._pickle_storage_type())  # type: ignore[no-untyped-call]  # noqa: SLF001
        elif isinstance(thing, torch.UntypedStorage):
            storage, dtype, count, kind = thing, torch.uint8, thing.nbytes(), torch.UntypedStorage
        else:
            return None
        self._check(storage, dtype)
        key = self._keys.setdefault(storage._cdata, str(len(self._keys)))  # noqa: SLF001
        self.storages[storage._cdata] = storage  # noqa: SLF001
        return "storage", kind, key, torch.serialization.location_tag(storage), count

    def reducer_override(self, thing: Any) -> Any:
        """Refuse early what is large and would be refused in the end."""
        import numpy as np

        if isinstance(thing, np.ndarray):
            raise BadRequestError(
                f"The value holds a numpy array, which .pt cannot keep safely; {_NOTHING_SENT}.",
                hint="Put torch.from_numpy(array) there, or save arrays as .safetensors or .npy.",
            )
        return NotImplemented

    def _check(self, storage: torch.UntypedStorage, dtype: torch.dtype) -> None:
        if storage.device.type == "meta":
            raise BadRequestError(
                f"A tensor lies on the meta device and has no data; {_NOTHING_SENT}.", hint="Load or initialise it."
            )
        if storage.nbytes() and self._dtypes.setdefault(storage.data_ptr(), dtype) != dtype:
            raise BadRequestError(
                f"Two tensors see the same bytes as {dtype} and another type; {_NOTHING_SENT}.",
                hint="Save a clone() of one of them.",
            )


def _check(pickled: bytes) -> int:
    """Return how many tensors our own reader will find; what it or torch's safe reader refuses is not written."""
    from torch.serialization import get_unsafe_globals_in_checkpoint

    skeleton = io.BytesIO(in_memory([("data.pkl", pickled), ("version", b"3\n")]))
    try:
        count, strange = examine(pickled)
        strange |= dict.fromkeys(get_unsafe_globals_in_checkpoint(skeleton))
    except NeedsTorchError as error:
        hint = "Call resolve_conj() or resolve_neg() first."
        raise BadRequestError(f"{error.message} Nothing was written.", hint=hint) from None
    except GpuExtError as error:
        raise BadRequestError(f"{error.message} Nothing was written.", hint=error.hint) from None
    if strange:
        shown = ", ".join(printable(name[:100]) for name in list(strange)[:8])
        raise BadRequestError(
            f"The value holds more than tensors and plain data ({shown}); {_NOTHING_SENT}.", hint=_cure(strange)
        )
    return count


def _cure(names: Iterable[str]) -> str:
    if any(name.startswith("numpy") for name in names):
        return "Save a number of numpy as float(x) or int(x)."
    if any(name.startswith("torch.nn.modules") for name in names):
        return "Save model.state_dict()."
    return "Save state_dict(), numbers, texts, dicts, lists, tuples."
