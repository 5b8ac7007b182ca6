"""The tensors of a model: where each hangs, how a new one takes its place, and how a model is marked unusable."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.errors import BadRequestError
from jupyter_gpu_ext.tensors.matching import Place

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

_MARK = "_jupyter_gpu_ext_half_loaded"


@dataclass(slots=True, eq=False)
class Slot:
    """One parameter or buffer, and every place in the model that refers to it.

    Attributes
    ----------
    owners : list of (torch.nn.Module, str)
        Tied tensors have several.
    persistent : bool
        Whether a state_dict holds it.
    """

    tensor: torch.Tensor
    is_parameter: bool
    persistent: bool
    names: list[str] = field(default_factory=list)
    owners: list[tuple[Any, str]] = field(default_factory=list)

    @property
    def on_meta(self) -> bool:
        """Whether it has no memory yet."""
        return self.tensor.device.type == "meta"

    @property
    def place(self) -> Place:
        """Its names and shape."""
        return Place(tuple(self.names), tuple(self.tensor.shape))

    def fill(self, value: torch.Tensor) -> None:
        """Overwrite the elements; whoever refers to the memory sees it."""
        import torch

        with torch.no_grad():
            self.tensor.copy_(value)

    def replace(self, value: torch.Tensor) -> None:
        """Put another tensor in its place; a parameter that is one already keeps its identity where it can."""
        import torch

        if not self.is_parameter:
            for module, key in self.owners:
                setattr(module, key, value.detach())
            self.tensor = value
            return
        plain = type(value) in (torch.Tensor, torch.nn.Parameter) and value.shape == self.tensor.shape
        if plain and not self.on_meta and _can_take(self.tensor, value):
            # What an optimizer refers to stays what the model refers to; an old gradient belongs to the old elements.
            self.tensor.data, self.tensor.grad = value.detach(), None
            return
        new = value if isinstance(value, torch.nn.Parameter) else self._parameter(value)
        for module, key in self.owners:
            setattr(module, key, new)
        self.tensor = new

    def _parameter(self, value: torch.Tensor) -> torch.nn.Parameter:
        import torch

        differentiable = value.is_floating_point() or value.is_complex()
        new = torch.nn.Parameter(value.detach(), requires_grad=self.tensor.requires_grad and differentiable)
        # What a library notes on a parameter: how it is sharded, for one.
        vars(new).update(vars(self.tensor))
        return new


def slots(model: Any) -> list[Slot]:
    """Return a model's parameters and buffers, each once, in the order of its state_dict.

    Raises
    ------
    BadRequestError
        For what is no `torch.nn.Module`, and for lazy ones that have no shape yet.
    """
    import torch

    if not isinstance(model, torch.nn.Module):
        raise BadRequestError(
            f"A {type(model).__name__} is no model to load into.",
            hint="It takes a torch.nn.Module; jg.load gives a dict.",
        )
    found: dict[int, Slot] = {}
    for module, prefix, key, tensor, is_parameter in _tensors(model):
        if torch.nn.parameter.is_lazy(tensor):
            raise BadRequestError(
                f"{prefix}{key} has no shape yet.", hint="Run the lazy model once, then load into it."
            )
        if hasattr(tensor, "device_mesh"):
            raise BadRequestError(f"{prefix}{key} is sharded over processes.", hint="Load the model, then shard it.")
        persistent = is_parameter or key not in module._non_persistent_buffers_set  # noqa: SLF001 -- only this set says it
        slot = found.setdefault(id(tensor), Slot(tensor, is_parameter, persistent))
        slot.names.append(prefix + key)
        slot.owners.append((module, key))
    return list(found.values())


def _tensors(model: torch.nn.Module) -> Iterator[tuple[Any, str, str, torch.Tensor, bool]]:
    for path, module in model.named_modules(remove_duplicate=False):
        prefix = f"{path}." if path else ""
        for key, parameter in module.named_parameters(recurse=False, remove_duplicate=False):
            yield module, prefix, key, parameter, True
        for key, buffer in module.named_buffers(recurse=False, remove_duplicate=False):
            yield module, prefix, key, buffer, False


def _can_take(old: torch.Tensor, new: torch.Tensor) -> bool:
    import torch

    # What Module.to asks before it does the same.
    return bool(torch._has_compatible_shallow_copy_type(old, new))  # noqa: SLF001


def mark_half_loaded(model: Any) -> None:
    """Have a model refuse to run until it is whole again."""
    if not hasattr(model, _MARK):
        setattr(model, _MARK, model.register_forward_pre_hook(refuse_to_run))


def unmark(model: Any) -> None:
    """Let a model run again."""
    handle = vars(model).pop(_MARK, None)
    if handle is not None:
        handle.remove()


def refuse_to_run(_module: Any, _inputs: Any) -> None:
    """Stand before a half-loaded model's forward."""
    raise BadRequestError(
        "This model is half loaded: a load into it was stopped.", hint="Load into it again, to the end, then run it."
    )
