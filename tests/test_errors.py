"""One family: every member has a code, says what to do, and survives a pickle."""

from __future__ import annotations

import copy
import inspect
import pickle

import pytest

from jupyter_gpu_ext import errors

FAMILY = [one for _, one in inspect.getmembers(errors, inspect.isclass) if issubclass(one, errors.GpuExtError)]


@pytest.mark.parametrize("kind", FAMILY)
def test_round_trip(kind: type[errors.GpuExtError]) -> None:
    error = kind("It broke.", hint="Mend it.")
    for twin in (*(pickle.loads(pickle.dumps(error, protocol)) for protocol in range(2, 6)), copy.deepcopy(error)):
        assert type(twin) is kind
        assert (twin.message, twin.hint, twin.code) == ("It broke.", "Mend it.", error.code)
        assert str(twin) == str(error) == "It broke. — Mend it."


@pytest.mark.parametrize("kind", FAMILY)
def test_without_a_hint(kind: type[errors.GpuExtError]) -> None:
    assert str(kind("It broke.")) == "It broke."


@pytest.mark.parametrize("kind", FAMILY)
def test_code_and_line(kind: type[errors.GpuExtError]) -> None:
    assert kind.code.replace("_", "").isalpha()
    assert kind.__doc__


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [
        (errors.BadRequestError, ValueError),
        (errors.NotFoundError, FileNotFoundError),
        (errors.ExistsError, FileExistsError),
        (errors.UnreachableError, ConnectionError),
        (errors.StorageTimeoutError, TimeoutError),
        (errors.DeniedError, PermissionError),
        (errors.NotInstalledError, ImportError),
    ],
)
def test_caught_by_who_knows_only_python(kind: type[errors.GpuExtError], builtin: type[Exception]) -> None:
    with pytest.raises(builtin, match="It broke"):
        raise kind("It broke.", hint="Mend it.")
