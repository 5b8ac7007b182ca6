"""Which format an object has, by its first bytes, and its header."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from jupyter_gpu_ext.errors import TensorFormatError, UnsupportedFormatError
from jupyter_gpu_ext.tensors import hdf5
from jupyter_gpu_ext.tensors.formats import npy, npz, safetensors, torch_legacy, torch_zip

if TYPE_CHECKING:
    from jupyter_gpu_ext.storage.reader import Reader
    from jupyter_gpu_ext.tensors.models import TensorFile


class IsHdf5Error(UnsupportedFormatError):
    """The object is HDF5, which is shown and not loaded.

    Attributes
    ----------
    reader : Reader
        The object, open.
    """

    reader: Reader


class Format(Protocol):
    """What a module of `formats` offers."""

    def sniff(self, head: bytes) -> bool:
        """Tell whether these first bytes are of the format."""

    async def read_header(self, reader: Reader, *, most_bytes: int) -> TensorFile:
        """Read the header."""


_FORMATS: tuple[Format, ...] = (safetensors, npy, npz, torch_zip, torch_legacy)

# A kernel reads what the person asked for; a server reads for whoever clicks.
MOST_BYTES = 100 << 20
SERVER_MOST_BYTES = 16 << 20

_KNOWN_BY_SIGHT = (
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself", "Upload the file that it points to."),
    (b"<", "a web page or XML, not a tensor file", "Check how it was downloaded."),
    (b"\x80", "a pickle, which is code, and not one that torch.save wrote", "Save a state_dict, or safetensors."),
    (b"\x1f\x8b", "a gzip archive", "Unpack it first."),
)


async def read_header(reader: Reader, *, most_bytes: int = MOST_BYTES) -> TensorFile:
    """Recognise the format and read the header, by range reads alone.

    Raises
    ------
    UnsupportedFormatError
        Saying what the bytes look like instead.
    TensorFormatError
        When the file is empty, cut off, damaged, or needs code.
    """
    if reader.version.size_bytes == 0:
        raise TensorFormatError(f"{reader.shown} is empty.", hint="Upload it again.")
    for one in _FORMATS:
        if one.sniff(reader.head):
            return await one.read_header(reader, most_bytes=most_bytes)
    if hdf5.sniff(reader.head):
        error = IsHdf5Error(
            f"{reader.shown} is HDF5, whose datasets are not loaded as they are.",
            hint="Convert it to Zarr or safetensors, or open it: h5py.File(jg.open(url)).",
        )
        error.reader = reader
        raise error
    start = reader.head.lstrip()
    for mark, what, hint in _KNOWN_BY_SIGHT:
        if start.startswith(mark):
            raise UnsupportedFormatError(f"{reader.shown} is {what}.", hint=hint)
    if reader.head[257:262] == b"ustar":
        raise UnsupportedFormatError(
            f"{reader.shown} is a tar archive: a file of torch before 0.1.10, or a download that is not unpacked.",
            hint="Unpack it, or load it once with an old torch and save it again.",
        )
    raise UnsupportedFormatError(
        f"{reader.shown} is no tensor file that is read here.",
        hint="What is read: .pt, .pth, .bin, .ckpt of torch.save, .safetensors, .npy, .npz.",
    )
