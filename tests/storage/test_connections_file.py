"""The connections file is the person's own: a table more, a table less, and everything else as it was."""

from __future__ import annotations

import stat
import threading
import tomllib
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jupyter_gpu_ext import errors
from jupyter_gpu_ext.errors import GpuExtError
from jupyter_gpu_ext.storage import connections, connections_file
from jupyter_gpu_ext.storage.credentials import Secret

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "connections.toml"


# What the file may look like before.
FILES = [
    "",
    "# only a comment",
    '[connections.disk]\nroot = "/mnt"',
    '# top\n\n[connections.disk] # here\n  root = "/mnt" # the disk\n\n# of the next\n[other]\nx = 1\n',
    '[connections."disk"]\nroot = """/m\\\nnt"""\n\n\n',
    '[ connections . disk ]\r\nroot = "/mnt"\r\n',
    '[[list]]\nx = "[connections.weights]"\n',
]


@pytest.mark.parametrize("text", FILES)
def test_the_file_keeps_what_stands_in_it(file: Path, text: str) -> None:
    file.write_bytes(text.encode())
    file.chmod(0o640)
    connections_file.add(file, "weights", {"root": "/data", "read_only": True}, Secret("s3cret"))
    assert file.read_bytes().decode().startswith(text)
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert connections.load().find("weights").root == "/data"
    connections_file.remove(file, "weights")
    assert tomllib.loads(file.read_bytes().decode()) == tomllib.loads(text)
    assert file.read_bytes().decode().rstrip() == text.rstrip()


OTHER_FORMS = [
    'connections = {disk = {root = "/mnt"}}\n',
    "connections = 1\n",
    "[broken",
    '[connections]\ndisk = {root = "/"}\nweights.root = "/"\n',
]


@pytest.mark.parametrize("text", OTHER_FORMS)
def test_a_file_of_another_form_is_left_as_it_is(file: Path, text: str) -> None:
    file.write_text(text)
    with pytest.raises((errors.BadRequestError, errors.ExistsError)):
        connections_file.add(file, "weights", {"root": "/data"}, Secret("s3cret"))
    assert file.read_text() == text
    with pytest.raises(GpuExtError):
        connections_file.remove(file, "weights")
    assert file.read_text() == text
    assert not list((file.parent).rglob("weights"))


def test_a_table_is_removed_between_its_neighbours(file: Path) -> None:
    file.write_text(
        '[connections.aa]\nroot = "/a"\n\n# about bb\n[connections.bb]\nroot = "/b"\n# still bb\n\n'
        '# about cc\n[connections.cc]\nroot = "/c"\n'
    )
    connections_file.remove(file, "bb")
    assert "# about cc\n[connections.cc]" in file.read_text()
    assert list(connections.load().connections) == ["aa", "cc"]


NAMES = st.from_regex(r"[a-z][a-z0-9-]{1,8}", fullmatch=True).filter(connections.is_name)
ROOTS = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=20).map(lambda text: f"/{text}")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from("+-"), NAMES, ROOTS), max_size=8))
def test_the_file_says_what_was_done_to_it(file: Path, steps: list[tuple[str, str, str]]) -> None:
    file.unlink(missing_ok=True)
    expected: dict[str, str] = {}
    for act, name, root in steps:
        if act == "+" and name not in expected:
            connections_file.add(file, name, {"root": root}, None)
            expected[name] = root
        elif act == "-" and name in expected:
            connections_file.remove(file, name)
            del expected[name]
    found_roots = {name: one.root for name, one in connections.load().connections.items()}
    assert found_roots == expected


def test_writers_at_once_lose_nothing(file: Path) -> None:
    names = [f"disk-{number}" for number in range(12)]
    threads = [
        threading.Thread(target=connections_file.add, args=(file, name, {"root": "/mnt"}, None)) for name in names
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(connections.load().connections) == sorted(names)
    assert [path.name for path in file.parent.iterdir()] == [file.name], "no scratch file is left"


def test_a_link_to_the_file_stays_one(tmp_path: Path, file: Path) -> None:
    (tmp_path / "dotfiles").mkdir()
    file.symlink_to(tmp_path / "dotfiles" / "mine.toml")
    connections_file.add(file, "disk", {"root": "/mnt"}, None)
    assert file.is_symlink()
    assert connections.load().find("disk").root == "/mnt"


def test_a_secret_is_renewed_only_where_it_was_written_here(file: Path) -> None:
    connections_file.add(file, "linked", {"root": "az://c", "credential": "sas"}, Secret("old"))
    connections_file.renew(file, "linked", Secret("new"))
    place = file.parent / connections_file.SECRETS / "linked"
    assert place.read_text() == "new\n"
    assert place.stat().st_mode & 0o777 == 0o600
    connections_file.add(file, "other", {"root": "az://c", "secret": "env:A"}, None)
    for name in ("other", "none"):
        with pytest.raises(errors.NotFoundError, match="has no connection"):
            connections_file.renew(file, name, Secret("new"))
