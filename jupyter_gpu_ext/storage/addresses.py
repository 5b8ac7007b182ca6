"""Which hosts a pasted link may lead to: private networks yes, the cloud's own metadata services never.

A link that a person was given may name an address that only this machine reaches, and that answers with this
machine's identity. Whatever the spelling, the address decides.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit

from jupyter_gpu_ext.errors import BadRequestError
from jupyter_gpu_ext.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# Link-local: every cloud's metadata service lies there, and nothing else that stores objects.
_LINK_LOCAL = (ipaddress.ip_network("169.254.0.0/16"), ipaddress.ip_network("fe80::/10"))
_METADATA = frozenset(
    map(
        ipaddress.ip_address,
        (
            "168.63.129.16",  # Azure's host agent
            "100.100.100.200",  # Alibaba
            "192.0.0.192",  # Oracle
            "fd00:ec2::254",  # AWS
            "fd20:ce::254",  # Google
        ),
    )
)
_METADATA_NAMES = frozenset({"metadata", "metadata.google.internal", "instance-data", "instance-data.ec2.internal"})
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_NAME = re.compile(r"[a-z0-9_]([a-z0-9_.-]{0,251}[a-z0-9_])?")

_HINT = "Paste a link to storage: https://ACCOUNT.blob.core.windows.net/CONTAINER, s3://BUCKET, or a MinIO address."


def split_url(text: str) -> SplitResult:
    """Split an http(s) address whose host may be asked, as far as its spelling tells.

    Raises
    ------
    BadRequestError
        For an address with a user in it, an odd host, or a host that no link may lead to.
    """
    hint = "Paste it as the browser's address bar shows it."
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        raise BadRequestError("The link is no address of its form.", hint=hint) from None
    if "@" in parts.netloc or "\\" in text.partition("?")[0] or not parts.hostname:
        raise BadRequestError("The link has a user, a backslash or no host in it.", hint=hint)
    if parts.scheme not in ("http", "https") or not parts.netloc.isascii():
        raise BadRequestError("The link is no plain http(s) address.", hint=hint)
    check_host(parts.hostname)
    return parts


def check_host(host: str) -> Address | None:
    """Return the address that `host` spells, None for a name; nothing is looked up.

    Parameters
    ----------
    host : str
        As it stands in a URL, brackets around an IPv6 address or not.

    Raises
    ------
    BadRequestError
        For an address that no link may lead to, in any spelling, and for what is no host.
    """
    plain = host.lower().removeprefix("[").removesuffix("]").removesuffix(".")
    if plain in _METADATA_NAMES:
        raise _refused(host, "is a metadata service")
    address = _read(plain)
    if address is not None:
        check_address(address, host)
    elif not _NAME.fullmatch(plain) or ".." in plain:
        raise _refused(host, "is no host's name")
    return address


def check_address(address: Address, host: str) -> None:
    """Raise `BadRequestError` for an address that no link may lead to; `host` is what the person wrote."""
    for one in _meant(address):
        if one in _METADATA or any(one in network for network in _LINK_LOCAL):
            raise _refused(host, "leads to this machine's metadata service or link-local network")
        if one.is_multicast or one.is_unspecified or (one.is_reserved and one.version == 4):
            raise _refused(host, "is no address of a server")


def check_resolved(host: str, resolve: Callable[..., list[Any]] = socket.getaddrinfo) -> None:
    """Do what `check_host` does, and the same for every address that the name stands for. Blocks.

    A name that is not found here passes: a proxy may know it, and a client says in its own words that it does not.
    """
    if check_host(host) is not None:
        return
    try:
        found = resolve(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return
    for *_, place in found:
        check_address(ipaddress.ip_address(str(place[0]).partition("%")[0]), host)


def is_loopback(host: str) -> bool:
    """Tell whether `host` is this machine by its very spelling."""
    plain = host.lower().removeprefix("[").removesuffix("]").removesuffix(".")
    address = _read(plain)
    if address is None:
        return plain == "localhost" or plain.endswith(".localhost")
    # A mapped spelling is nobody's honest way to write it.
    return address == ipaddress.IPv6Address("::1") or (address.version == 4 and address.is_loopback)


def _read(host: str) -> Address | None:
    if ":" in host:
        try:
            return ipaddress.ip_address(host.partition("%")[0])
        except ValueError:
            return None
    if not re.fullmatch(r"[0-9a-fx.]+", host):
        return None
    try:
        # The resolver's own reading: decimal, octal, hexadecimal, and fewer than four parts.
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except OSError:
        return None


def _meant(address: Address) -> Iterator[Address]:
    yield address
    if address.version == 4:
        return
    if address.ipv4_mapped is not None:
        yield from _meant(address.ipv4_mapped)
    elif address.sixtofour is not None:
        yield from _meant(address.sixtofour)
    elif address.teredo is not None:
        yield from address.teredo
    elif address in _NAT64 or (int(address) >> 32 == 0 and int(address) > 1):
        # The translated and the long retired "compatible" form hold an IPv4 address in the last 32 bits.
        yield ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)


def _refused(host: str, reason: str) -> BadRequestError:
    return BadRequestError(f"{printable(host[:100])} {reason}; the link was not opened.", hint=_HINT)
