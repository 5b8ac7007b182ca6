"""Images as arrays: decoded by Pillow, within its own limit of pixels."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_gpu_ext.errors import NotInstalledError, TensorFormatError, TooLargeError
from jupyter_gpu_ext.text import printable

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Others would have Pillow start programs (EPS), or are of no use in a training.
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "PPM", "TIFF")


def check_installed() -> None:
    """Refuse where Pillow is missing.

    Raises
    ------
    NotInstalledError
    """
    try:
        import PIL.Image  # noqa: F401 -- whether it is there
    except ImportError:
        raise NotInstalledError(
            "Images are decoded by Pillow, which is not installed.", hint="%pip install 'jupyter_gpu_ext[images]'"
        ) from None


def decode_image(data: bytes, shown: str) -> NDArray[np.uint8]:
    """Decode an image as torchvision does: three channels of bytes, colours first.

    Parameters
    ----------
    shown : str
        The file, for messages.

    Returns
    -------
    numpy.ndarray
        3 × height × width, uint8, RGB; grey and palettes are converted, transparency is left out.

    Raises
    ------
    TensorFormatError
        When the bytes are no image, or damaged.
    TooLargeError
        When it has more pixels than `PIL.Image.MAX_IMAGE_PIXELS`.
    """
    check_installed()
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            _check_pixels(image, Image.MAX_IMAGE_PIXELS, shown)
            pixels = np.asarray(image.convert("RGB"))
    except Image.DecompressionBombError:
        raise _too_large(shown, Image.MAX_IMAGE_PIXELS) from None
    except (TooLargeError, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001 -- of a damaged file Pillow raises a dozen kinds
        said = "" if isinstance(error, UnidentifiedImageError) else f": {printable(str(error)[:200])}"
        raise TensorFormatError(
            f"{shown} is no image, or damaged{said}.", hint="Write or copy it again; on_error='skip' leaves it out."
        ) from None
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _check_pixels(image: Any, most: int | None, shown: str) -> None:
    # Pillow itself only warns up to twice its limit.
    if most is not None and image.width * image.height > most:
        raise _too_large(shown, most)


def _too_large(shown: str, most: int | None) -> TooLargeError:
    return TooLargeError(
        f"{shown} has more than {most or 0:,} pixels: it may be made to fill the memory.",
        hint="Where you trust it: PIL.Image.MAX_IMAGE_PIXELS = … ; on_error='skip' leaves it out.",
    )
