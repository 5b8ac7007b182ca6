"""What is asked of each connection: every route, every public function, every verb.

What is new and not named here fails a test, which says what to add.
"""

from __future__ import annotations

import itertools
import json
import logging
import os
import pickle
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import jupyter_gpu_ext as jg
from jupyter_gpu_ext.commands import lines
from tests.server.contract import OPERATIONS, concrete
from tests.server.live import API

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from jupyter_gpu_ext.commands.grammar import Verb
    from tests.server.live import Reply, Server

FILE = "net.safetensors"
KEYS = (FILE, "a//b", "notes.txt", "broken.safetensors", "none.pt")
FIELD, GRID = "field.zarr", "grid.h5"


class Asker:
    """Asks one server about one connection, and keeps all it says."""

    def __init__(self, server: Server, name: str) -> None:
        self.name = name
        self.said: list[tuple[str, object]] = []
        self.statuses: dict[tuple[str, str], set[int]] = {}
        self._server = server

    def __call__(self, path: str, method: str, body: Any = None, /, *, identity: str = "", **query: object) -> Any:
        place = concrete(path).replace("0" * 32, identity or "0" * 32)
        raw = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        headers = None if isinstance(body, bytes) else {"Content-Type": "application/json"}
        reply = self._server.request(method.upper(), API + place, urlencode(query), headers=headers, body=raw)
        self.statuses.setdefault((path, method), set()).add(reply.status)
        self.said.append((f"{method} {path} {query}", f"{reply.headers}{_without_link(path, reply)}"))
        return json.loads(reply.body) if "json" in reply.headers["Content-Type"] else reply.body

    def opened(self, key: str) -> str:
        """Open an upload of three bytes and return its id."""
        asked = {"connection": self.name, "key": key, "size_bytes": 3, "overwrite": True}
        return self("/storage/uploads", "post", asked).get("id", "")

    def notebook(self) -> str:
        """Write a notebook that uses the connection into the server's root, and return its path."""
        source = f"%load_blob {self.name}://{FILE} -o w --device cpu\n%save_blob w {self.name}://saved.safetensors"
        cell = {
            "cell_type": "code",
            "id": "a",
            "metadata": {},
            "outputs": [],
            "execution_count": None,
            "source": source,
        }
        path = f"{self.name}.ipynb"
        said = json.dumps({"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": [cell]})
        (Path(self._server.app.root_dir) / path).write_text(said)
        return path


def _without_link(path: str, reply: Reply) -> str:
    if path == "/storage/share" and reply.status == 200:
        # The one secret that is asked for; a provider may sign a session's token into it.
        return json.dumps({**reply.json, "url": ""})
    return reply.body.decode(errors="replace")


def _uploaded(ask: Asker, path: str, method: str) -> None:
    identity = ask.opened(f"new {method}")
    if method != "delete":
        ask("/storage/uploads/{upload}/{index}", "put", b"abc", identity=identity)
    if path != "/storage/uploads/{upload}/{index}":
        ask(path, method, identity=identity)


def _each(path: str) -> Callable[[Asker], None]:
    def run(ask: Asker) -> None:
        for key in KEYS:
            ask(path, "get", connection=ask.name, key=key)

    return run


def _exported(ask: Asker) -> None:
    """Preview and write a notebook that reads from the connection and writes to it."""
    asked = {"path": ask.notebook(), "folder": f"jobs/{ask.name}"}
    for more in ({}, {"write": True, "overwrite": True}, {"options": {"arguments": {"nobody": ask.name}}}):
        ask("/export/job", "post", {**asked, **more})


ROUTES: dict[tuple[str, str], Callable[[Asker], object]] = {
    ("/gpu/status", "get"): lambda ask: ask("/gpu/status", "get"),
    ("/gpu/kernels/{kernel}/release", "get"): lambda ask: ask("/gpu/kernels/{kernel}/release", "get"),
    ("/gpu/kernels/{kernel}/release", "post"): lambda ask: [
        ask("/gpu/kernels/{kernel}/release", "post", {"rung": rung}) for rung in ("cache", "restart", ask.name)
    ],
    ("/gpu/history", "get"): lambda ask: ask("/gpu/history", "get"),
    ("/gpu/doctor", "get"): lambda ask: [ask("/gpu/doctor", "get", **more) for more in ({}, {"kernel": ask.name})],
    ("/storage/connections", "get"): lambda ask: ask("/storage/connections", "get"),
    ("/storage/connections", "post"): lambda ask: [
        ask("/storage/connections", "post", {"link": f"{ask.name}://{key}", "read_only": only})
        for key in ("", FILE) for only in (True, False)
    ],
    ("/storage/connections", "delete"): lambda ask: ask("/storage/connections", "delete", name="nobody"),
    ("/storage/list", "get"): lambda ask: [
        ask("/storage/list", "get", connection=ask.name, **more)
        for more in ({}, {"prefix": "a/"}, {"limit": 1}, {"search": "n"}, {"page_token": "forged"})
    ],
    ("/storage/object", "get"): _each("/storage/object"),
    ("/storage/object", "delete"): lambda ask: [
        ask("/storage/object", "delete", connection=ask.name, key="none", **more) for more in ({}, {"etag": '"x"'})
    ],
    ("/storage/object", "patch"): lambda ask: [
        ask("/storage/object", "patch", {"connection": ask.name, "key": "notes.txt", "to": "copy", **more})
        for more in ({"overwrite": True}, {})
    ],
    ("/storage/folders", "post"): lambda ask: ask("/storage/folders", "post", {"connection": ask.name, "key": "new/"}),
    ("/storage/download", "get"): _each("/storage/download"),
    ("/storage/uploads", "post"): lambda ask: ask.opened("new"),
    ("/storage/uploads/{upload}", "post"): lambda ask: _uploaded(ask, "/storage/uploads/{upload}", "post"),
    ("/storage/uploads/{upload}", "delete"): lambda ask: _uploaded(ask, "/storage/uploads/{upload}", "delete"),
    ("/storage/uploads/{upload}/{index}", "put"): lambda ask: _uploaded(
        ask, "/storage/uploads/{upload}/{index}", "put"
    ),
    ("/storage/deletions", "post"): lambda ask: ask(
        "/storage/deletions", "post", {"connection": ask.name, "keys": ["copy", "none"]}
    ),
    ("/storage/share", "post"): lambda ask: ask(
        "/storage/share", "post", {"connection": ask.name, "key": FILE, "minutes": 5}
    ),
    ("/transfers", "get"): lambda ask: ask("/transfers", "get"),
    ("/transfers/{job}", "delete"): lambda ask: ask("/transfers/{job}", "delete"),
    ("/tensors/preview", "get"): _each("/tensors/preview"),
    ("/tensors/info", "get"): lambda ask: [
        _each("/tensors/info")(ask),
        *(ask("/tensors/info", "get", connection=ask.name, key=FIELD, deep=deep) for deep in ("true", "false")),
        ask("/tensors/info", "get", connection=ask.name, key=GRID),
    ],
    ("/tensors/plan", "get"): _each("/tensors/plan"),
    **{
        (path, "get"): lambda ask, path=path: [
            _each(path)(ask), ask(path, "get", connection=ask.name, key=FIELD, path="/field.zarr")
        ]
        for path in ("/tensors/entity", "/tensors/attributes")
    },
    ("/tensors/value", "get"): lambda ask: [
        *(ask("/tensors/value", "get", connection=ask.name, key=key, path="/w") for key in KEYS),
        ask("/tensors/value", "get", connection=ask.name, key=FIELD, path="/field.zarr"),
    ],
    ("/tensors/chunks", "get"): lambda ask: [
        ask("/tensors/chunks", "get", connection=ask.name, key=key, select="0") for key in (FIELD, FILE)
    ],
    ("/tensors/kinds", "post"): lambda ask: ask(
        "/tensors/kinds", "post",
        {"connection": ask.name, "rows": [{"key": key, "etag": None} for key in (*KEYS, "a/", "none.bin")]},
    ),
    ("/export/job", "post"): _exported,
    ("/export/run", "post"): lambda ask: [
        ask("/export/run", "post", {"path": ask.notebook(), "folder": folder, "log": f"{ask.name}://run.log"})
        for folder in ("none", "../none")
    ],
    ("/export/runs", "get"): lambda ask: ask("/export/runs", "get"),
    ("/export/runs/{run}", "delete"): lambda ask: ask("/export/runs/{run}", "delete"),
    # A proof would start a kernel for each connection; what one that fails says is seen in tests/server.
    ("/export/proof", "post"): lambda ask: [
        ask("/export/proof", "post", {"path": ask.notebook(), "folder": folder, "values": {"lr": ask.name}})
        for folder in ("none", "../none")
    ],
    ("/export/proofs", "get"): lambda ask: ask("/export/proofs", "get"),
    ("/export/proofs/{proof}", "delete"): lambda ask: ask("/export/proofs/{proof}", "delete"),
}  # fmt: skip


def _load(name: str) -> Iterator[object]:
    yield jg.load(f"{name}://{FILE}", device="cpu")


def _opened(name: str) -> Iterator[object]:
    file = jg.open(f"{name}://{FILE}")
    yield file
    yield file.read(10)
    yield from _written(name)


def _written(name: str) -> Iterator[object]:
    with jg.open(f"{name}://written", "wb") as out:
        yield out
        out.write(b"abc")


def _files(name: str) -> Iterator[object]:
    files = jg.fs(name)
    yield from (files, vars(files), files.storage_options, files.to_json(), files.to_dict())
    yield files.ls("")
    yield files.cat_file("notes.txt")


def _saved(name: str) -> Iterator[object]:
    import numpy as np

    yield jg.save({"w": np.zeros(3, np.float32)}, f"{name}://saved.safetensors", overwrite=True)
    yield jg.save(np.zeros(3), f"{name}://none/saved.npy")


def _logged(name: str) -> Iterator[object]:
    sink = jg.LogSink(f"{name}://logs/run.log", flush_seconds=60)
    sink.handle(logging.makeLogRecord({"msg": "a line", "levelno": logging.INFO}))
    yield sink
    sink.close()


def _kept(name: str) -> Iterator[object]:
    yield jg.cache.ls()
    yield jg.cache.warm(f"{name}://{FILE}")
    yield jg.load(f"{name}://{FILE}", device="cpu", cache=True)
    yield jg.cache.ls()
    yield jg.cache.clear(f"{name}://")


def _filled(name: str) -> Iterator[object]:
    import torch

    yield jg.load_into(torch.nn.Linear(3, 4), f"{name}://{FILE}", strict=False)


def _viewed(name: str) -> Iterator[object]:
    viewer = jg.view(f"{name}://{FILE}", path="w", select="0")
    yield from (viewer, viewer.to_json(), viewer._repr_mimebundle_())
    yield jg.view(f"{name}://{FIELD}", select="0")
    yield from (jg.info(f"{name}://{FIELD}"), jg.plan(f"{name}://{FIELD}"), jg.load(f"{name}://{FIELD}", device="cpu"))


def _sampled(name: str) -> Iterator[object]:
    for at, key in enumerate((FILE, "notes.txt", "broken.safetensors")):
        yield jg.sample(f"{name}://{key}", f"{_local(name)} {at}", overwrite=True)


def _local(_: str) -> str:
    return str(Path(os.environ["JUPYTER_GPU_CONNECTIONS"]).parent / "sampled")


def _measured(name: str) -> Iterator[object]:
    with jg.measure() as took:
        yield from _load(name)
    yield took


def _checkpointed(name: str) -> Iterator[object]:
    with jg.Checkpointer(f"{name}://steps/") as kept:
        yield kept
        yield kept.restore()


def _streamed(name: str) -> Iterator[object]:
    stream = jg.ZarrStream(f"{name}://{FIELD}").shuffle(seed=1).batch(2)
    yield from (stream, vars(stream), pickle.dumps(stream))
    yield from itertools.islice(stream, 2)
    yield from (stream.report(), stream.state_dict(), vars(stream))


def _file_stream(name: str) -> Iterator[object]:
    for url in (f"{name}://*.safetensors", f"{name}://{FILE}", f"{name}://none/**"):
        stream = jg.files(url, on_error="skip").shuffle(seed=1)
        yield (stream, vars(stream))
        yield pickle.dumps(stream)
        yield from stream
        yield from (stream.classes, stream.report(), stream.state_dict(), vars(stream))


def _published(name: str) -> Iterator[object]:
    import numpy as np

    yield jg.publish({"w": np.zeros(3, np.float32)}, f"{name}://releases/{uuid.uuid4().hex}")
    yield jg.publish(f"{name}://{FILE}", f"{name}://releases/{uuid.uuid4().hex}")


def _checked(name: str) -> Iterator[object]:
    """Export a job that reads and writes the connection, and look at it where it is."""
    from jupyter_gpu_ext.export import folder as folders
    from jupyter_gpu_ext.export.environment import Environment
    from jupyter_gpu_ext.export.job import make_job
    from jupyter_gpu_ext.export.target import Options
    from jupyter_gpu_ext.export.verify import verify

    cells = [f"%load_blob {name}://{FILE} -o m", f"%save_blob m {name}://out.safetensors"]
    code = {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None}
    notebook = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [{**code, "source": one} for one in cells]}
    job = make_job(notebook, name="n.ipynb", options=Options(), environment=Environment(python="3.12.1"))
    yield from (job, job.to_json(), job.files)
    folder = Path(_local(name)).with_name(f"job {name}")
    folders.write(job.files, folder, overwrite=True)
    yield verify(str(folder))
    # The doctor takes seconds: it looks at the machine besides.
    if name.startswith("aws"):
        yield jg.check_job(folder)


FUNCTIONS: dict[str, Callable[[str], Any]] = {
    "Checkpointer": _checkpointed,
    "LogSink": _logged,
    "ZarrStream": _streamed,
    "__version__": lambda _: [jg.__version__],
    "cache": _kept,
    "check_job": _checked,
    "connect": lambda name: (jg.connect(f"{name}://{key}") for key in ("", FILE)),
    "cp": lambda name: (jg.cp(f"{name}://{FILE}", f"{name}://copied {at}", overwrite=True) for at in range(2)),
    "disconnect": lambda _: (jg.disconnect(one) for one in ("nobody",)),
    "files": _file_stream,
    "fs": _files,
    # The doctor takes seconds and knows no connection: its route and its verb are asked.
    "gpu": lambda _: [jg.gpu.status(), jg.gpu.who(), jg.gpu.release("cache")],
    "info": lambda name: (jg.info(f"{name}://{key}") for key in (FILE, "broken.safetensors")),
    "load": _load,
    "load_into": _filled,
    "ls": lambda name: (jg.ls(*url) for url in ((), (f"{name}://",), (f"{name}://a/",))),
    "measure": _measured,
    "open": _opened,
    "plan": lambda name: (jg.plan(f"{name}://{key}") for key in (FILE, "notes.txt")),
    "publish": _published,
    "rm": lambda name: (jg.rm(f"{name}://{key}") for key in ("copied 0", "nobody")),
    "sample": _sampled,
    "save": _saved,
    "view": _viewed,
}

# What a verb's words may be, by the name that its table gives them; a function of the connection.
WORDS: dict[str, Callable[[str], str]] = {
    "url": lambda name: f"{name}://{FILE}",
    "link": lambda name: f"{name}://{FILE}",
    "src": lambda name: f"{name}://{FILE}",
    "dst": lambda name: f"{name}://copied",
    "local": _local,
    "name": lambda _: "tensors",
    "rung": lambda _: "cache",
    # `check_job` exports for each connection; a verb would start an interpreter for each.
    "notebook": lambda _: "none.ipynb",
    "folder": lambda _: "none",
    "argument": lambda name: f"{name}://{FILE}",
}
VALUES = {
    "number": "1", "many": "'*'", "output": "bound", "into": "model",
    **dict.fromkeys(("flag", "off", "consent", "replace", "instead"), ""),
}  # fmt: skip


# What a verb needs to come to an end.
ENDS = {"gpu top": "--once"}


def missing() -> list[str]:
    """Return a sentence for everything public that no sweep asks."""
    here = "tests/canaries/asked.py"
    found = [
        f"{method} {path} is in openapi.yaml: add what to ask of it to ROUTES in {here}."
        for path, method in OPERATIONS
        if (path, method) not in ROUTES
    ]
    found += [
        f"jg.{name} is public: add a call that uses a connection to FUNCTIONS in {here}."
        for name in jg.__all__
        if name not in FUNCTIONS
    ]
    for verb in verbs():
        words = (*verb.positionals, *([verb.optional] if verb.optional else []))
        found += [
            f"{verb.name} takes {word.upper()}: add a word of that name to WORDS in {here}."
            for word in words
            if word not in WORDS
        ]
    return found


def verbs() -> list[Verb]:
    """Return every verb of every family."""
    return [verb for family in lines.FAMILIES.values() for verb in family.values()]


def calls(verb: Verb, name: str) -> list[str]:
    """Return command lines that use a connection: the words alone, and once with each option."""
    names = (*verb.positionals, *([verb.optional] if verb.optional else []))
    # What loses something loses a copy.
    words = [WORDS["dst" if verb.asks else word](name) for word in names]
    plain = " ".join([verb.name, *words, *([ENDS[verb.name]] if verb.name in ENDS else [])])
    options = [f"{plain} {option.flag} {VALUES.get(option.kind, 'cpu')}".rstrip() for option in verb.options]
    return [plain, *([verb.name] if verb.optional else []), *options]
