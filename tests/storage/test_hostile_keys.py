"""Keys made to lead out of a connection, or to become another key: the round trip is exact, or one typed error."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING

import pytest
from azure.storage.blob import ContainerSasPermissions, generate_container_sas
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from jupyter_gpu_ext.errors import GpuExtError
from jupyter_gpu_ext.storage import backends, connections, memory
from jupyter_gpu_ext.storage.backends import writable
from jupyter_gpu_ext.storage.listing import list_page
from jupyter_gpu_ext.storage.loop import LOOP
from jupyter_gpu_ext.storage.reader import open_reader
from jupyter_gpu_ext.storage.retry import Schedule
from jupyter_gpu_ext.storage.writer import open_writer
from tests.conftest import AZURITE_ACCOUNT, AZURITE_KEY, KEY_VARIABLE, azure_fields, write_connections
from tests.storage.clouds import S3_KEYS, new_bucket, s3_fields

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Azurite

# What a path, a URL, a shell, another system or a reader's eye takes for something else.
SEGMENTS = (
    "..", ".", "...", "", " ", "a", "x", "secret", "~", "C:", "..\\", "\\..\\secret", "%2e%2e", "%2E%2E%2Fsecret",
    "%00", "%", "%%", "..%2f", "..;", "?x=1", "#x", "+", "&", "\0", "x\0y", "\n", "\r\nX: 1", "\t", "\x7f", "\x1b[31m",
    "é", "e\u0301", "\u202egpj.exe", "\uff0e\uff0e", "\u2215", "\u2024\u2024", "\ufeff", "\u200b", "con",
    "nul.txt", "x.", "x ", "*", "$(id)", "`id`", "'\"<>", "{a,b}", "[0-9]", "|", "\ud800", "\U0001f39b", "\uffff",
    "x" * 255, "é" * 128, "x" * 1100,
)  # fmt: skip
PARTS = st.one_of(st.sampled_from(SEGMENTS), st.sampled_from(SEGMENTS), st.text(max_size=8))
KEYS = st.builds(
    lambda lead, parts, tail: lead + "/".join(parts) + tail,
    st.sampled_from(["", "", "", "/", "//", "../", "/etc/", "file://", "in/../../"]),
    st.lists(PARTS, min_size=1, max_size=5),
    st.sampled_from(["", "", "", "", "/", "/..", "//"]),
)


@dataclass
class Walled:
    """A connection below a root that has neighbours, and what the provider's own client says is there.

    Attributes
    ----------
    state : callable
        Returns every object, inside and out, with what changes when it is written.
    place : callable
        Returns the name in `state` that a key of the connection must have.
    unproven : re.Pattern or None
        Keys that the emulator itself breaks on: they are read and listed, not written.
    """

    name: str
    state: Callable[[], dict[str, object]]
    place: Callable[[str], str]
    unproven: re.Pattern[str] | None = None
    ends: Counter[str] = field(default_factory=Counter)


# Azurite answers 500 to every listing of a container that holds such a name; Azure encodes it.
NO_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
NEIGHBOURS = ("secret", "walled/secret", "walled/in-secret", "walled/in", "etc/passwd")


@pytest.fixture(autouse=True)
def little_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an emulator answers with 500, it answers with 500 again."""
    monkeypatch.setattr(backends, "REMOTE", Schedule(tries=2, first_seconds=0.01))


@pytest.fixture
def azure(azurite: Azurite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Walled:
    container = azurite.new_container()
    for name in NEIGHBOURS:
        container.upload_blob(name, b"secret")
    monkeypatch.setenv(KEY_VARIABLE, AZURITE_KEY)
    fields = azure_fields(azurite, container.container_name)
    root = f"az://{container.container_name}/walled/in"
    write_connections(tmp_path / "connections.toml", hostile={**fields, "root": root, "read_only": False})
    return Walled(
        "hostile", lambda: {one.name: one.etag for one in container.list_blobs()}, "walled/in/{}".format, NO_XML
    )


@pytest.fixture
def sas(azure: Walled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Walled:
    """The same under a signature that covers the whole container: storage itself refuses nothing."""
    fields = tomllib.loads((tmp_path / "connections.toml").read_text())["connections"]["hostile"]
    container = fields["root"].removeprefix("az://").partition("/")[0]
    may, end = ContainerSasPermissions(True, True, True, list=True), datetime.now(UTC) + timedelta(hours=12)
    signed = generate_container_sas(AZURITE_ACCOUNT, container, account_key=AZURITE_KEY, permission=may, expiry=end)
    monkeypatch.setenv("TEST_SAS", signed)
    fields |= {"credential": "sas", "secret": "env:TEST_SAS"}
    write_connections(tmp_path / "connections.toml", hostile=fields)
    return azure


@pytest.fixture
def s3(moto: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Walled:
    monkeypatch.setenv("TEST_S3_KEYS", ":".join(S3_KEYS))
    store = new_bucket("hostile", moto)
    for name in NEIGHBOURS:
        store.put(name, b"secret")
    write_connections(
        tmp_path / "connections.toml", hostile={**s3_fields(store), "root": f"s3://{store.bucket}/walled/in"}
    )

    def state() -> dict[str, object]:
        found = store.client.list_objects_v2(Bucket=store.bucket)
        return {one["Key"]: (one["ETag"], one["LastModified"]) for one in found["Contents"]}

    return Walled("hostile", state, "walled/in/{}".format)


@pytest.fixture
def local(tmp_path: Path) -> Walled:
    folder = tmp_path / "all"
    (folder / "walled" / "in").mkdir(parents=True)
    for name in NEIGHBOURS:
        path = folder / name
        if not path.is_dir():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"secret")
    root = str(folder / "walled" / "in")
    write_connections(tmp_path / "connections.toml", hostile={"root": root, "read_only": False})

    def state() -> dict[str, object]:
        files = (path for path in tmp_path.rglob("*") if path.is_file() or path.is_symlink())
        return {str(path.relative_to(tmp_path)): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}

    return Walled("hostile", state, "all/walled/in/{}".format)


@pytest.fixture
def ram(tmp_path: Path) -> Walled:
    root = f"memory://{tmp_path.name}"
    memory._OBJECTS[f"{root}-other"] = {name: memory._Object(b"secret", {}) for name in NEIGHBOURS}
    write_connections(tmp_path / "connections.toml", hostile={"root": root, "read_only": False})

    def state() -> dict[str, object]:
        return {f"{of}!{key}": one for of, objects in memory._OBJECTS.items() for key, one in objects.items()}

    return Walled("hostile", state, f"{root}!{{}}".format)


LEADING_OUT = (
    "../secret",
    "../in-secret",
    "a/../../secret",
    "..",
    "./../secret",
    "..\\secret",
    "../../secret",
    "x\\y",
    ".",
)


@pytest.mark.parametrize("kind", ["azure", "sas", "s3", "local", "ram"])
def test_keys_that_lead_out(request: pytest.FixtureRequest, kind: str) -> None:
    walled: Walled = request.getfixturevalue(kind)
    for key in LEADING_OUT:
        round_trip(walled, key)


NUMBERS = count()


def round_trip(walled: Walled, key: str) -> None:
    """Read what is not there, write, read, list, remove; what the provider's own client sees decides."""
    url, data, before = f"{walled.name}://{key}", b"%d" % next(NUMBERS), walled.state()
    with pytest.raises(GpuExtError):
        LOOP.run(open_reader(url))
    assert walled.state() == before
    if walled.unproven and walled.unproven.search(key):
        walled.ends["unproven"] += 1
        return
    try:
        LOOP.run(write(url, data))
    except GpuExtError as error:
        walled.ends[error.code] += 1
        refused = True
    else:
        refused = False
    if refused:
        assert walled.state() == before, "a refused write left something"
        return
    after = walled.state()
    assert after.keys() - before.keys() == {walled.place(key)}
    assert {name: one for name, one in after.items() if name in before} == before
    assert LOOP.run(read(url)) == data
    assert key in listed(walled, key.rpartition("/")[0] + "/" if "/" in key else "")
    LOOP.run(writable(connections.load().find(walled.name)).delete(key))
    assert walled.state() == before
    walled.ends["exact"] += 1


async def write(url: str, data: bytes) -> None:
    writer = await open_writer(url)
    await writer.write(data)
    await writer.commit()


async def read(url: str) -> bytes:
    return await (await open_reader(url)).read_all()


def listed(walled: Walled, prefix: str) -> list[str]:
    page = LOOP.run(list_page(connections.load().find(walled.name), prefix, limit=1000))
    assert all(entry.key.startswith(prefix) for entry in page.entries)
    return [entry.key for entry in page.entries]


def no_listing_leads_out(walled: Walled, prefix: str) -> None:
    """List a folder of the empty root: nothing, or one typed error."""
    try:
        found = listed(walled, prefix)
    except GpuExtError:
        return
    assert not [key for key in found if not key.endswith("/")]


@pytest.mark.parametrize("examples", [20, pytest.param(570, marks=[pytest.mark.prove, pytest.mark.timeout(1200)])])
@pytest.mark.parametrize("kind", ["azure", "sas", "s3", "local", "ram"])
def test_hostile_keys(request: pytest.FixtureRequest, kind: str, examples: int) -> None:
    walled: Walled = request.getfixturevalue(kind)
    neighbours = walled.state()
    tried: set[str] = set()

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=[*HealthCheck],
    )
    @given(KEYS)
    def each(key: str) -> None:
        tried.add(key)
        no_listing_leads_out(walled, key if key.endswith("/") else f"{key}/")
        round_trip(walled, key)

    each()
    print(f"{kind}: {len(tried)} keys, {dict(walled.ends)}")
    assert walled.state() == neighbours
    assert walled.ends["exact"]
    assert len(tried) > examples * 0.7
