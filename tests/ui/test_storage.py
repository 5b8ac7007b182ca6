"""Storage by hand, in a real browser, on Azurite: from a pasted link to a deleted object."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, cast
from urllib.parse import parse_qs

from azure.storage.blob import ContainerSasPermissions, generate_container_sas

from tests.conftest import AZURITE_ACCOUNT, AZURITE_KEY, HERE, Azurite
from tests.ui.lab import drive, running_lab

if TYPE_CHECKING:
    from pathlib import Path


def test_from_a_pasted_link_to_a_deleted_object(azurite: Azurite, tmp_path: Path) -> None:
    container = azurite.new_container()
    before = {
        "runs/era/.zgroup": b'{"zarr_format": 2}',
        "runs/notes.csv": b"step,loss\n1,0.5\n2,0.25\n",
        "runs/model.safetensors": b"",
        "runs/net.bin": b"\x93NUMPY\x01\0",
        "runs/plain/readme": b"",
    }
    for name, data in before.items():
        container.upload_blob(name, data)
    signed = generate_container_sas(
        AZURITE_ACCOUNT,
        container.container_name,
        account_key=AZURITE_KEY,
        permission=ContainerSasPermissions(read=True, list=True, write=True, create=True, delete=True),
        expiry=datetime.now(UTC) + timedelta(hours=2),
    )
    upload = tmp_path / "9 MB é#.bin"
    upload.write_bytes(bytes(range(250)) * 36_000)
    secret = parse_qs(signed)["sig"][0]
    with running_lab(tmp_path / "lab", {}) as lab:
        given = {"LINK": f"{container.url}?{signed}", "FILE": str(upload), "SECRET": secret}
        found = drive("storage.mjs", lab, HERE / ".artifacts" / "storage", **given)
        log = lab.log.read_text(errors="replace")
    assert found["kept"], "the link's secret stays in the page"
    assert "loss" in str(found["table"])
    assert (found["named"], found["numpy"], found["plain"]) == (1, "npy", "plain")
    assert {"What's inside", "View", "Insert as"} <= set(cast("list[str]", found["offered"]))
    assert found["same"], "what came back is what was sent"
    assert "cannot be undone" in str(found["question"])
    assert [blob.name for blob in container.list_blobs()] == sorted(before)
    for place in (log, str(found["bodies"]), (tmp_path / "connections.toml").read_text()):
        assert secret not in place
    assert found["problems"] == []
