"""What this machine has already is offered, and shows no secret."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jupyter_gpu_ext.storage.found import found

if TYPE_CHECKING:
    from pathlib import Path


def test_what_this_machine_has_is_offered(tmp_path: Path) -> None:
    home, root = tmp_path / "home", tmp_path / "root"
    for path, text in {
        home / ".azure/azureProfile.json": '\ufeff{"subscriptions": [{"user": {"name": "anna@example.org"}}]}',
        home / ".aws/config": "[default]\nregion=eu-west-1\n[profile lab]\nrole_arn=x\n[sso-session s]\n",
        home / ".aws/credentials": "[default]\naws_access_key_id=AKIASECRET\naws_secret_access_key=s3cr3t\n[old]\n",
        root / "proc/mounts": (
            "proc /proc proc rw 0 0\nblobfuse2 /mnt/my\\040data fuse.blobfuse2 ro 0 0\nfiler:/x /mnt/nfs nfs4 rw 0 0\n"
            "/dev/sda1 / ext4 rw 0 0\nbad line\n"
        ),
        root / "sys/class/dmi/id/chassis_asset_tag": "7783-7084-3265-9085-8269-3286-77\n",
    }.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    offered = found(home, root=root, environ={"AZURE_STORAGE_ACCOUNT": "mystorage"})
    assert [(one.label, one.link) for one in offered] == [
        ("az login", ""),
        ("managed identity", ""),
        ("AZURE_STORAGE_ACCOUNT", "az://"),
        ("AWS", "s3://"),
        ("mounted folder", "/mnt/my data"),
        ("mounted folder", "/mnt/nfs"),
    ]
    assert "anna@example.org" in offered[0].detail
    assert "3 profiles: default, lab, old" in offered[3].detail
    assert "AKIA" not in repr(offered)
    assert "s3cr3t" not in repr(offered)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"subscriptions": 1}', '{"subscriptions": [{"user": null}]}', "[a\n[b"]
)
def test_files_of_another_form_offer_nothing(tmp_path: Path, text: str) -> None:
    for name in (".azure/azureProfile.json", ".aws/config", ".aws/credentials"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert found(tmp_path, root=tmp_path, environ={}) == ()
