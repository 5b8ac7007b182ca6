"""The connections file: what is taken, what is refused, and that no refusal repeats a secret."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

import pytest

import jupyter_gpu_ext as jg
from jupyter_gpu_ext.errors import BadRequestError, GpuExtError, NoCredentialError, NotFoundError
from jupyter_gpu_ext.storage import connections
from jupyter_gpu_ext.storage.credentials import find_secret
from tests.conftest import AZURITE_KEY, write_connections

if TYPE_CHECKING:
    from pathlib import Path

GOOD = {"root": "az://models", "account": "mystorage", "credential": "account-key", "secret": "env:WEIGHTS_KEY"}


def write(folder: Path, text: str) -> None:
    (folder / "connections.toml").write_text(text)


def test_good_entry(tmp_path: Path) -> None:
    write_connections(tmp_path / "connections.toml", weights={**GOOD, "read_only": False})
    found = connections.load().find("weights")
    assert found == connections.Connection(name="weights", read_only=False, **GOOD)
    assert found.is_azure
    assert found.path == "models"


def test_example_of_the_hints_is_valid(tmp_path: Path) -> None:
    write(tmp_path, connections.EXAMPLE)
    assert connections.load().find("weights").account == "mystorage"


@pytest.mark.parametrize("name", ["W", "1a", "a", "-a", "a_b", "az", "s3", "file", "https", "ünicode", "a.b", "A-B"])
def test_names_that_are_no_scheme(tmp_path: Path, name: str) -> None:
    write(tmp_path, f'[connections."{name}"]\nroot = "/mnt"\n')
    registry = connections.load()
    assert not registry.connections
    assert registry.problems[name].code == "bad_request"


# What the entry says instead of GOOD, and a part of the message.
WRONG = [
    ({"root": "models"}, "neither az://"),
    ({"root": "relative/folder"}, "neither az://"),
    ({"root": "ftp://bucket"}, "neither az://"),
    ({"root": "s3://bucket"}, "no credential that is known"),
    ({"root": "s3://b@cket", "credential": "default"}, "names no bucket"),
    ({"root": "s3://bucket", "credential": "profile"}, "credential and profile do not fit"),
    ({"root": "s3://bucket", "credential": "default", "region": "a b"}, "region that is no name"),
    ({"root": "gs://bucket", "credential": "profile"}, "no credential that is known"),
    ({"root": "https://user:pass@host/", "credential": ""}, "no plain http"),
    ({"root": "https://host/x?sig=1", "credential": ""}, "no plain http"),
    ({"root": "sftp://host/x", "credential": "", "fsspec": "ftp"}, "cannot be read through fsspec"),
    ({"root": "reference://x", "credential": "", "fsspec": "reference"}, "cannot be read through fsspec"),
    ({"root": "file:///x", "credential": "", "fsspec": "file"}, "cannot be read through fsspec"),
    ({"root": "zip://x::sftp://h", "credential": "", "fsspec": "zip"}, "cannot be read through fsspec"),
    ({"root": 5}, "has no root"),
    ({"root": None}, "has no root"),
    ({"credential": "magic"}, "no credential that is known"),
    ({"credential": f"AccountKey={AZURITE_KEY}"}, "no credential that is known"),
    ({"account": None}, "names no account"),
    ({"account": "evil.example/#"}, "names no account"),
    ({"account": 7}, "account is not a str"),
    ({"read_only": "yes"}, "read_only is not a bool"),
    ({"endpoint": "ftp://x"}, "no plain http"),
    ({"endpoint": "https://x?sig=abc"}, "no plain http"),
    ({"endpoint": "https://user:pass@x"}, "no plain http"),
    ({"secret": AZURITE_KEY}, "holds a secret in the file itself"),
    ({"secret": f"env:{AZURITE_KEY}"}, "names no environment variable"),
    ({"secret": "env:A B"}, "names no environment variable"),
    ({"account_key": AZURITE_KEY}, "unknown field 'account_key'"),
    ({AZURITE_KEY: "x"}, "unknown field"),
]


@pytest.mark.parametrize(("change", "message"), WRONG, ids=[message for _, message in WRONG])
def test_wrong_entry(tmp_path: Path, change: dict[str, object], message: str) -> None:
    entry = {key: value for key, value in {**GOOD, **change}.items() if value is not None}
    quoted = {key if key.isidentifier() else f'"{key}"': value for key, value in entry.items()}
    write_connections(tmp_path / "connections.toml", weights=quoted, fine={"root": "/mnt"})
    registry = connections.load()
    with pytest.raises(BadRequestError) as caught:
        registry.find("weights")
    assert message in caught.value.message
    assert caught.value.hint
    assert AZURITE_KEY not in str(caught.value)
    assert "user:pass" not in str(caught.value)
    assert list(registry.connections) == ["fine"], "one mistake hides no other connection"
    assert AZURITE_KEY not in str(jg.ls())


@pytest.mark.parametrize(
    "text",
    [
        f'[connections.weights]\nsecret = "{AZURITE_KEY}\n',
        f"[connections.weights]\nsecret = {AZURITE_KEY}\n",
        f"[connections.weights\n# {AZURITE_KEY}\n",
        f'[connections.a]\nroot="/"\n[connections.a]\nsecret="{AZURITE_KEY}"\n',
        f'{AZURITE_KEY} = "x"\n',
        f'connections = "{AZURITE_KEY}"\n',
        "\ufeff\x00",
    ],
)
def test_broken_file_does_not_show_its_lines(tmp_path: Path, text: str) -> None:
    write(tmp_path, text)
    with pytest.raises(BadRequestError, match=r"connections\.toml") as caught:
        connections.load().find("weights")
    for shown in (str(caught.value), str(jg.ls()), repr(jg.ls().to_json())):
        assert AZURITE_KEY[:20] not in shown


def test_file_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "connections.toml").write_bytes(b"\xff\xfe\x00")
    assert [problem.code for problem in connections.load().problems.values()] == ["bad_request"]


def test_unknown_name_says_which_exist(tmp_path: Path) -> None:
    write_connections(tmp_path / "connections.toml", weights=GOOD, disk={"root": "/mnt"})
    with pytest.raises(NotFoundError, match=r"no connection 'wieghts' \(connections: weights, disk\)") as caught:
        jg.load("wieghts://x.pt")
    assert str(tmp_path) in caught.value.hint


def test_no_file_at_all() -> None:
    assert "No connections yet" in str(jg.ls())
    with pytest.raises(NotFoundError, match="none yet"):
        jg.load("weights://x.pt")


def test_first_file_wins(tmp_path: Path) -> None:
    for folder, root in (("user", "/one"), ("env", "/two")):
        (tmp_path / folder).mkdir()
        write_connections(tmp_path / folder / connections.FILE_NAME, weights={"root": root})
    write_connections(tmp_path / "env" / connections.FILE_NAME, weights={"root": "/two"}, more={"root": "/three"})
    environ = {"JUPYTER_CONFIG_DIR": str(tmp_path / "user"), "JUPYTER_CONFIG_PATH": str(tmp_path / "env")}
    found = connections.load(environ).connections
    assert (found["weights"].root, found["more"].root) == ("/one", "/three")


def test_no_file_of_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_connections(tmp_path / connections.FILE_NAME, evil={"root": "/"})
    monkeypatch.chdir(tmp_path)
    assert "evil" not in connections.load({"HOME": "/nonexistent"}).connections


@pytest.mark.parametrize(
    ("place", "content", "mode", "message"),
    [
        ("", None, None, "names no secret"),
        ("env:", None, None, "names no environment variable"),
        ("env:NOT_SET", None, None, "which is not set here"),
        ("env:EMPTY", None, None, "which is not set here"),
        ("env:NO_KEY", None, None, "is no account key"),
        ("file:{}/none", None, None, "cannot be read"),
        ("file:{}/key", AZURITE_KEY, 0o644, "Others can read"),
        ("file:{}/key", AZURITE_KEY, 0o640, "Others can read"),
        ("file:{}/key", "", 0o600, "is empty"),
        ("file:{}/key", "no key!", 0o600, "is no account key"),
    ],
)
def test_secret_that_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, content: str | None, mode: int | None, message: str
) -> None:
    monkeypatch.setenv("EMPTY", " ")
    monkeypatch.setenv("NO_KEY", "not/base64 at all!")
    if content is not None:
        (tmp_path / "key").write_text(content)
        (tmp_path / "key").chmod(mode)
    write_connections(tmp_path / "connections.toml", weights={**GOOD, "secret": place.format(tmp_path)})
    with pytest.raises((NoCredentialError, BadRequestError), match=message) as caught:
        jg.load("weights://x.pt")
    assert caught.value.hint
    assert "not/base64" not in str(caught.value)


def test_secret_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f"{AZURITE_KEY}\n")
    (tmp_path / "key").chmod(0o600)
    write_connections(tmp_path / "connections.toml", weights={**GOOD, "secret": f"file:{tmp_path / 'key'}"})
    assert find_secret(connections.load().find("weights")).reveal() == AZURITE_KEY


def test_secret_does_not_pickle(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WEIGHTS_KEY", AZURITE_KEY)
    write_connections(tmp_path / "connections.toml", weights=GOOD)
    secret = find_secret(connections.load().find("weights"))
    assert AZURITE_KEY not in repr(secret) + str(secret) + f"{secret}"
    with pytest.raises(TypeError):
        pickle.dumps(secret)


def test_every_problem_is_listed_with_its_cure(tmp_path: Path) -> None:
    write_connections(tmp_path / "connections.toml", weights={**GOOD, "credential": "magic"}, disk={"root": "/mnt"})
    shown = str(jg.ls())
    assert "disk://" in shown
    assert "not usable" in shown
    rows = {row["name"]: row["problem"] for row in jg.ls().to_json()}
    assert rows["disk"] is None
    assert GpuExtError(**{k: v for k, v in rows["weights"].items() if k != "code"}).hint
