"""What this machine already has: sign-ins, profiles, mounted folders. Offered, never connected, nothing is asked."""

from __future__ import annotations

import configparser
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from jupyter_gpu_ext.text import format_count, printable, redact

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_NETWORK = re.compile(
    r"nfs4?|cifs|smb3|lustre|ceph|beegfs|gpfs|9p|fuse\.(blobfuse2?|s3fs|goofys|gcsfuse|rclone|sshfs|juicefs|mount-s3)"
)
# What every virtual machine of Azure has in its firmware:
# https://learn.microsoft.com/azure/virtual-machines/instance-metadata-service
_AZURE_TAG = "7783-7084-3265-9085-8269-3286-77"


@dataclass(frozen=True, slots=True)
class Found:
    """Something to connect.

    Attributes
    ----------
    link : str
        For the paste box; '' where the person has to say which account.
    """

    label: str
    detail: str
    link: str


def found(
    home: Path | None = None,
    *,
    root: Path = Path("/"),
    environ: Mapping[str, str] = os.environ,
) -> tuple[Found, ...]:
    """Return what is here, from files and variables alone."""
    home = home or Path.home()
    return (
        *_azure_login(Path(environ.get("AZURE_CONFIG_DIR", home / ".azure"))),
        *_azure_machine(root, environ),
        *_aws_profiles(home, environ),
        *_mounts(root),
    )


def _azure_login(folder: Path) -> Iterator[Found]:
    try:
        # The tool writes it with a byte order mark.
        profile = json.loads((folder / "azureProfile.json").read_text(encoding="utf-8-sig"))
        people = sorted({str(one["user"]["name"]) for one in profile["subscriptions"]})
    except (OSError, ValueError, LookupError, TypeError):
        return
    for person in people:
        yield Found("az login", _shown(f"{person}: paste a container's link to use it"), "")


def _azure_machine(root: Path, environ: Mapping[str, str]) -> Iterator[Found]:
    if environ.get("AZURE_FEDERATED_TOKEN_FILE"):
        yield Found("workload identity", "of this pod: paste a container's link to use it", "")
    elif environ.get("IDENTITY_ENDPOINT") or _text(root / "sys/class/dmi/id/chassis_asset_tag").strip() == _AZURE_TAG:
        yield Found("managed identity", "of this Azure machine, if it has one: paste a container's link to use it", "")
    account = environ.get("AZURE_STORAGE_ACCOUNT_NAME") or environ.get("AZURE_STORAGE_ACCOUNT")
    if account:
        yield Found("AZURE_STORAGE_ACCOUNT", _shown(account), "az://")


def _aws_profiles(home: Path, environ: Mapping[str, str]) -> Iterator[Found]:
    names = set()
    for variable, name in (("AWS_CONFIG_FILE", "config"), ("AWS_SHARED_CREDENTIALS_FILE", "credentials")):
        parser = configparser.RawConfigParser(strict=False, interpolation=None)
        try:
            parser.read_string(_text(Path(environ.get(variable, home / ".aws" / name))))
        except configparser.Error:
            continue
        names |= {
            section.removeprefix("profile ").strip()
            for section in parser.sections()
            if not section.startswith(("sso-session ", "services "))
        }
    if names:
        detail = f"{format_count(len(names), 'profile')}: {', '.join(sorted(names))}"
        yield Found("AWS", _shown(detail), "s3://")


def _mounts(root: Path) -> Iterator[Found]:
    # https://man7.org/linux/man-pages/man5/proc_pid_mounts.5.html; spaces are octal escapes.
    for line in _text(root / "proc/mounts").splitlines():
        parts = [re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), part) for part in line.split(" ")]
        if len(parts) > 2 and _NETWORK.fullmatch(parts[2]):
            kind = parts[2].removeprefix("fuse.")
            yield Found("mounted folder", _shown(f"{parts[1]} ({kind}, {parts[0]})"), parts[1])


def _shown(text: str) -> str:
    return printable(redact(text))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
