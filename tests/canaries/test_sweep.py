"""Six secrets in use, every route and every function, in success and in every failure: they come out nowhere."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pickle
import traceback
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from fsspec.exceptions import FSTimeoutError

import jupyter_gpu_ext
from jupyter_gpu_ext.errors import GpuExtError, TensorFormatError
from jupyter_gpu_ext.storage import backends, connections, gcs, object_ranges, s3_client
from jupyter_gpu_ext.storage.backends import backend, close_all
from jupyter_gpu_ext.storage.loop import LOOP
from jupyter_gpu_ext.storage.reader import open_reader
from jupyter_gpu_ext.storage.retry import Schedule
from tests.canaries.asked import FILE, FUNCTIONS, GRID, ROUTES, Asker
from tests.canaries.hostile import STATUSES, hostile
from tests.conftest import free_port, write_connections
from tests.server.live import logged

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.canaries.search import Finder
    from tests.canaries.six import Canary, Six
    from tests.server.live import Server

NAMES = ("sas", "account-key", "connection-string", "bearer", "aws", "google")
HERE = str(Path(jupyter_gpu_ext.__file__).parent)
FAILURES = ["wrong secret", "ended", *STATUSES, "stall", "no TLS", "nobody listens", "no such host"]
# Every failure with one of the connections, each of them in turn; the rest is proven.
SAMPLED = {(NAMES[index % len(NAMES)], failure) for index, failure in enumerate(FAILURES)}
# A sandbox may take long to say that a name is unknown, and every stall is waited for; the others are like these.
SAMPLED = {one for one in SAMPLED if one[1] not in ("no such host", "stall", "400", "401", "412", "418", "429")}


def cases() -> list[Any]:
    """Return success for all six, and each failure; those that are not sampled only prove."""
    found = [pytest.param(name, "success", id=f"{name}-success") for name in NAMES]
    for name in NAMES:
        for failure in FAILURES:
            marks = () if (name, failure) in SAMPLED else (pytest.mark.prove,)
            found.append(pytest.param(name, failure, marks=marks, id=f"{name}-{failure}"))
    return found


@contextmanager
def impatient(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give up at once; clients that were opened before are closed, and again after."""
    close_all()
    monkeypatch.setattr(backends, "REMOTE", Schedule(tries=2, first_seconds=0.01, asked_seconds=0.02))
    monkeypatch.setattr(object_ranges, "STALL_SECONDS", 0.3)
    monkeypatch.setattr(s3_client, "STALL_SECONDS", 0.3)
    monkeypatch.setattr(gcs, "_TIMEOUT", (1, 0.3))
    yield
    close_all()


@contextmanager
def broken(canary: Canary, failure: str, six: Six, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, object]]:
    """Give the fields of the connection with one thing wrong; its secret is in the environment."""
    given = {"wrong secret": canary.wrong, "ended": canary.ended or canary.wrong}.get(failure, canary.variables)
    for name, value in {**canary.variables, **given}.items():
        monkeypatch.setenv(name, value)
    certificate = six.certificate if canary.over_tls else None
    with ExitStack() as stack:
        match failure:
            case "success" | "wrong secret" | "ended":
                yield dict(canary.fields)
            case "no TLS":
                running = stack.enter_context(hostile("500", certificate=None if certificate else six.certificate))
                yield canary.at(running.port)
            case "nobody listens":
                yield canary.at(free_port())
            case "no such host":
                yield {**canary.fields, "endpoint": f"https://no-such-host.invalid{canary.path}"}
            case "redirect":
                other = stack.enter_context(hostile("404", certificate=certificate))
                scheme = "https" if certificate else "http"
                yield canary.at(stack.enter_context(hostile(
                    "redirect", certificate=certificate, elsewhere=f"{scheme}://localhost:{other.port}"
                )).port)  # fmt: skip
            case _:
                yield canary.at(stack.enter_context(hostile(failure, certificate=certificate)).port)


def shown(where: str, thing: object) -> Iterator[tuple[str, object]]:
    """Give every form in which a value may show itself."""
    yield f"repr of {where}", repr(thing)
    yield f"str of {where}", str(thing)
    with contextlib.suppress(TypeError, AttributeError, pickle.PicklingError, NotImplementedError):
        yield f"pickle of {where}", pickle.dumps(thing)
    yield f"attributes of {where}", _attributes(thing)
    for name in ("to_json", "to_dict", "_repr_html_", "_repr_mimebundle_"):
        if callable(way := getattr(thing, name, None)):
            yield f"{name} of {where}", repr(way())


def _attributes(thing: object, depth: int = 3) -> str:
    if depth == 0 or type(thing).__module__ == "builtins":
        return repr(thing)
    names = [*getattr(thing, "__dict__", ()), *getattr(type(thing), "__slots__", ())]
    # What holds the secret by trade says so, and is asked by nobody.
    kept = [name for name in names if isinstance(name, str) and type(thing).__name__ != "Secret"]
    return repr({name: _attributes(getattr(thing, name, None), depth - 1) for name in kept})


def trace(error: BaseException) -> str:
    """Return the traceback with the variables of our own frames, as a verbose mode shows them."""
    place = error.__traceback__
    while place is not None and not place.tb_frame.f_code.co_filename.startswith(HERE):
        place = place.tb_next
    told = traceback.TracebackException(type(error), error, place, capture_locals=True)
    return "".join(told.format())


def of_functions(name: str) -> Iterator[tuple[str, object]]:
    """Call every public function and give what it shows, failed or not."""
    for function, call in FUNCTIONS.items():
        yield from attempted(f"jg.{function}", lambda call=call: list(call(name)))
    yield from attempted("the connection", lambda: [connections.load(), connections.load().find(name)])
    yield from attempted("the backend", lambda: [backend(connections.load().find(name))])
    yield from attempted("a reader", lambda: [LOOP.run(open_reader(f"{name}://{FILE}"))])


def attempted(where: str, call: Callable[[], list[object]]) -> Iterator[tuple[str, object]]:
    """Give what a call's results show, or its error."""
    try:
        results = call()
    except (GpuExtError, FSTimeoutError) as caught:
        # fsspec's own name for a timeout; ours is its cause.
        error: Any = caught if isinstance(caught, GpuExtError) else caught.__cause__
        yield from shown(f"{where}'s {type(error).__name__}", error)
        yield f"traceback of {where}", trace(error)
        yield f"causes of {where}", "".join(traceback.format_exception(error))
        again = pickle.loads(pickle.dumps(error))
        assert (str(again), type(again)) == (str(error), type(error))
        return
    for result in results:
        yield from shown(f"{where}'s {type(result).__name__}", result)


@contextmanager
def printed() -> Iterator[io.StringIO]:
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        yield out


@contextmanager
def watched(server: Server, tmp_path: Path) -> Iterator[list[tuple[str, object]]]:
    """Collect what is logged, printed and written to files while the block runs."""
    sinks: list[tuple[str, object]] = []
    with logged(server.app) as log, printed() as out:
        yield sinks
    assert log.lines, "at DEBUG something is logged; a sweep of nothing shows nothing"
    sinks += [(f"log line {line[:60]}", line) for line in log.lines]
    sinks.append(("what was printed", out.getvalue()))
    sinks += [(f"file {path.name}", path.read_bytes()) for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize(("name", "failure"), cases())
def test_a_secret_in_use_comes_out_nowhere(
    server: Server, six: Six, finder: Finder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, failure: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    with impatient(monkeypatch), broken(six.canaries[name], failure, six, monkeypatch) as fields:
        write_connections(tmp_path / "connections.toml", **{name: fields})
        with watched(server, tmp_path) as sinks:
            ask = Asker(server, name)
            for route in ROUTES.values():
                route(ask)
            sinks.extend(ask.said)
            sinks.extend(of_functions(name))
    told = {status for route, found in ask.statuses.items() if "connection" not in route[0] for status in found}
    assert 500 not in told, "a failure that nobody thought of"
    if failure == "success":
        assert ask.statuses["/storage/list", "get"] >= {200}
        assert ask.statuses["/tensors/info", "get"] >= {200, 404, 422}
        for path in ("entity", "attributes", "value", "chunks"):
            assert 200 in ask.statuses[f"/tensors/{path}", "get"], path
    else:
        assert ask.statuses["/tensors/info", "get"] != {200}
    found = finder.hits(sinks)
    assert not found, "\n".join(found)


# Stands in for the library: tells what its process was given, and by whom.
TELLS = """
import json, pathlib, sys
class File:
    def __init__(self, *_, **__):
        frame, job = sys._getframe(), None
        while frame and job is None:
            frame, job = frame.f_back, frame.f_locals.get("job")
        process = pathlib.Path("/proc/self")
        told = [process.joinpath(one).read_bytes().decode() for one in ("environ", "cmdline")]
        pathlib.Path({where!r}).write_text(json.dumps([*told, job]))
        sys.stderr.write("to nobody")
        raise ValueError
"""


@pytest.mark.parametrize("name", NAMES)
def test_the_process_that_reads_hdf5_holds_no_secret(
    six: Six,
    finder: Finder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    name: str,
) -> None:
    (tmp_path / "stub" / "h5py").mkdir(parents=True)
    told = tmp_path / "told.json"
    (tmp_path / "stub" / "h5py" / "__init__.py").write_text(TELLS.replace("{where!r}", repr(str(told))))
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path / 'stub'}:{os.environ.get('PYTHONPATH', '')}")
    with impatient(monkeypatch), broken(six.canaries[name], "success", six, monkeypatch) as fields:
        write_connections(tmp_path / "connections.toml", **{name: fields})
        with pytest.raises(TensorFormatError):
            jupyter_gpu_ext.info(f"{name}://{GRID}")
    environ, words, job = json.loads(told.read_text())
    assert "PYTHONPATH=" in environ
    assert "hdf5_child" in words
    assert job["size_bytes"] == 1008
    said = capfd.readouterr()
    assert "to nobody" not in said.out + said.err
    found = finder.hits({"environment": environ, "words": words, "job": str(job), "out": said.out, "err": said.err})
    assert not found, "\n".join(found)
