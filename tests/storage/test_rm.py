"""Removing: exactly what was said, and asked for where a person sits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import jupyter_gpu_ext as jg
from jupyter_gpu_ext.errors import BadRequestError, DeniedError, NotFoundError, UsageError
from jupyter_gpu_ext.storage import places
from jupyter_gpu_ext.storage.consent import agreed
from jupyter_gpu_ext.storage.loop import LOOP
from jupyter_gpu_ext.storage.rm import question
from tests.conftest import write_connections
from tests.storage.test_cp import ODD, name
from tests.storage.writable import KINDS, files, keys, put

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("kind", KINDS)
def test_one_object(stores: object, kind: str) -> None:
    for key in ("run", "run/x", "runs"):
        if (kind, key) != ("disk", "run"):
            put(f"{name(kind)}://{key}", b"12345")
    assert question(f"{name(kind)}://runs") == f"Remove {name(kind)}://runs (5 B)? It cannot be undone here."
    assert str(jg.rm(f"{name(kind)}://runs")).startswith("1 object removed, ")
    assert keys(f"{name(kind)}://") == (["run/x"] if kind == "disk" else ["run", "run/x"])
    with pytest.raises(NotFoundError):
        jg.rm(f"{name(kind)}://runs")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("slash", ["", "/"])
def test_all_below_a_folder_and_nothing_beside_it(stores: object, kind: str, slash: str) -> None:
    place = name(kind)
    odd = ["sp ace", "größe", "ha#sh", "d/e/f"] if kind == "disk" else ODD[:4]
    for key in odd:
        put(f"{place}://run/{key}", b"12345")
    LOOP.run(places.find(f"{place}://").writing().make_folder("run/empty/"))
    put(f"{place}://run2/x", b"1")
    asked = question(f"{place}://run{slash}", recursive=True)
    assert f"Remove {len(odd)} objects ({len(odd) * 5} B) below {place}://run/?" in asked
    done = jg.rm(f"{place}://run{slash}", recursive=True)
    assert (done.objects, done.size_bytes) == (len(odd), len(odd) * 5)
    assert [entry.key for entry in jg.ls(f"{place}://").page.entries] == ["run2/"]
    assert keys(f"{place}://") == ["run2/x"]
    with pytest.raises(NotFoundError):
        jg.rm(f"{place}://run{slash}", recursive=True)


def test_a_link_is_removed_and_not_what_lies_behind_it(light: object, tmp_path: Path) -> None:
    put("disk://run/x", b"1")
    put("disk://kept/y", b"1")
    (tmp_path / "disk" / "run" / "inside").symlink_to(tmp_path / "disk" / "kept")
    (tmp_path / "disk" / "run" / "loop").symlink_to(tmp_path / "disk" / "run")
    assert question("disk://run", recursive=True).startswith("Remove 1 object (1 B) below disk://run/?")
    assert jg.rm("disk://run", recursive=True).objects == 1
    assert files(tmp_path / "disk") == ["kept/y"]


def test_what_leads_out_is_left_and_said(light: object, tmp_path: Path) -> None:
    put("disk://run/x", b"1")
    (tmp_path / "outside").write_text("kept")
    (tmp_path / "disk" / "run" / "out").symlink_to(tmp_path / "outside")
    with pytest.raises(DeniedError, match=r"1 of 2 objects were not removed\. The first, disk://run/out"):
        jg.rm("disk://run", recursive=True)
    assert (tmp_path / "outside").read_text() == "kept"


BAD = [
    ("mem://none", {}, NotFoundError),
    ("mem://none", {"recursive": True}, NotFoundError),
    ("mem://", {}, BadRequestError),
    ("mem://d/", {}, BadRequestError),
    ("mem://d", {}, NotFoundError),
    ("disk://d", {}, BadRequestError),
    ("disk://..", {"recursive": True}, BadRequestError),
    ("disk://d/../..", {"recursive": True}, BadRequestError),
    ("locked://x", {}, DeniedError),
    ("locked://d", {"recursive": True}, DeniedError),
    ("./disk/x", {}, BadRequestError),
    ("none://x", {}, NotFoundError),
    ("az://c/x", {}, BadRequestError),
    ("nonsense", {}, BadRequestError),
]


@pytest.mark.parametrize("act", [jg.rm, question], ids=["rm", "question"])
@pytest.mark.parametrize(("url", "options", "error"), BAD, ids=[f"{row[0]} {row[1]}" for row in BAD])
def test_a_bad_removal_is_one_error_and_changes_nothing(
    light: object, tmp_path: Path, act: object, url: str, options: dict, error: type
) -> None:
    for key in ("x", "d/x"):
        put(f"mem://{key}", b"1")
        put(f"disk://{key}", b"1")
    if act is question and error is NotFoundError and options:
        pytest.skip("nothing is lost by removing nothing")
    with pytest.raises(error) as refused:
        act(url, **options)  # type: ignore[operator]
    assert refused.value.hint
    assert files(tmp_path / "disk") == ["d/x", "x"]
    assert keys("mem://") == ["d/x", "x"]


def test_a_whole_account_is_refused(stores: dict[str, dict], tmp_path: Path) -> None:
    write_connections(tmp_path / "connections.toml", blobs={**stores["blobs"], "root": "az://"})
    with pytest.raises(BadRequestError, match="is a whole account"):
        jg.rm("blobs://", recursive=True)


@pytest.mark.parametrize(("typed", "yes"), [("y", True), (" YES \n", True), ("", False), ("n", False), ("yess", False)])
def test_only_a_yes_is_one(typed: str, yes: bool) -> None:
    assert agreed("Remove it?", lambda _: typed) is yes


@pytest.mark.parametrize("error", [EOFError, RuntimeError, OSError, None])
def test_where_nobody_answers_it_is_refused(error: type | None) -> None:
    def ask(_: str) -> str:
        raise error  # type: ignore[misc]

    with pytest.raises(UsageError, match=r"Remove it\?.*Add --yes"):
        agreed("Remove it?", ask if error else None)
