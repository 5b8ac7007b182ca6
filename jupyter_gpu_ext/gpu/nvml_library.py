"""NVML's functions, asked without exceptions, and not again and again where a device does not know them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from inspect import unwrap
from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.gpu import nvml_errors as codes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ASK_AGAIN_SECONDS = 600
NO_SUCH_CALL = {
    codes.NOT_SUPPORTED,
    codes.FUNCTION_NOT_FOUND,
    codes.ARGUMENT_VERSION_MISMATCH,
    codes.DEPRECATED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a query gave: a value, or None and the reason in words.

    Attributes
    ----------
    code : int
        `nvmlReturn_t`.
    asked : bool
        NVML said so just now; else it is known without asking.
    """

    value: Any = None
    code: int = 0
    reason: str = ""
    asked: bool = True


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Query:
    """A question about a device, and the fields of a reading that its answer fills.

    Attributes
    ----------
    calls : tuple
        The binding's function and its arguments behind the handle; newest first, the older for older drivers.
    fields : mapping
        Each field to the conversion of the answer; None is no value.
    of_slices : bool
        A MIG slice has a value of its own.
    """

    calls: tuple[tuple[Any, ...], ...]
    fields: Mapping[str, Callable[[Any], Any]]
    of_slices: bool = False


class Library:
    """The binding.

    Parameters
    ----------
    binding : module
        pynvml.
    """

    def __init__(self, binding: Any) -> None:
        self._binding = binding

    def ask(self, name: str, *arguments: Any) -> tuple[Any, int]:
        """Return the answer of a function of the binding and 0, or None and NVML's return code."""
        return self._ask(getattr(self._binding, name, None), *arguments)

    def text(self, name: str, *arguments: Any) -> str:
        """Return a text, empty where NVML gives none."""
        # The binding decodes strictly; below its decorator are the bytes.
        raw, _ = self._ask(unwrap(getattr(self._binding, name)), *arguments)
        return raw.decode("utf-8", "replace") if isinstance(raw, bytes) else str(raw or "")

    def _ask(self, function: Callable[..., Any] | None, *arguments: Any) -> tuple[Any, int]:
        if function is None:
            # The installed binding is older than the query.
            return None, codes.FUNCTION_NOT_FOUND
        try:
            return function(*arguments), 0
        except self._binding.NVMLError as error:
            return None, int(error.value)


class Capabilities:
    """Which queries a device answers and in which way; what it does not know is asked again after ten minutes.

    Parameters
    ----------
    library : Library
    clock : callable
        Seconds.
    """

    def __init__(self, library: Library, clock: Callable[[], float]) -> None:
        self._library = library
        self._clock = clock
        self._ways: dict[Query, int] = {}
        self._refused: dict[Query, tuple[Answer, float]] = {}

    def ask(self, query: Query, handle: Any) -> Answer:
        """Ask in the newest way that the driver knows."""
        refused = self._refused.get(query)
        if refused and self._clock() < refused[1]:
            return replace(refused[0], asked=False)
        answer = self._ask(query, handle)
        if answer.code in NO_SUCH_CALL:
            self._ways.pop(query, None)
            self._refused[query] = (answer, self._clock() + ASK_AGAIN_SECONDS)
        return answer

    def ask_older(self, query: Query, handle: Any) -> Answer:
        """Ask in the next older way from now on, because the last answer was nonsense."""
        self._ways[query] = min(self._ways.get(query, 0) + 1, len(query.calls) - 1)
        return self.ask(query, handle)

    def _ask(self, query: Query, handle: Any) -> Answer:
        seen = []
        for way in range(self._ways.get(query, 0), len(query.calls)):
            name, *arguments = query.calls[way]
            value, code = self._library.ask(name, handle, *arguments)
            if code not in NO_SUCH_CALL:
                self._ways[query] = way
                return Answer(value=value, code=code, reason=codes.describe(code) if code else "")
            seen.append(code)
        # "Not supported" is said by a driver that knows the call: more than that it knows none.
        code = codes.NOT_SUPPORTED if codes.NOT_SUPPORTED in seen else seen[0]
        return Answer(code=code, reason=codes.describe(code))
