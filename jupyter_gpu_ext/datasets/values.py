"""What a person sees of values in host memory: tensors where torch is there, else arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray


def seen(array: NDArray[Any], dtype: str = "") -> Any:
    """Return an array as a tensor that shares its memory, as it is where torch is not installed.

    Parameters
    ----------
    dtype : str
        The type of its values, where numpy has none of that name.
    """
    try:
        import torch
    except ImportError:
        return array
    tensor = torch.as_tensor(array)
    # numpy has no such type, and holds its bits.
    return tensor.view(torch.bfloat16) if dtype == "bfloat16" else tensor
