"""What a load did, in one line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from jupyter_gpu_ext.tensors.stages import WORDS, Stage
from jupyter_gpu_ext.text import format_bytes, format_count, format_duration


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What a load did; prints as one line.

    Attributes
    ----------
    size_bytes : int
        What the tensors take on the device.
    bytes_read, requests, retries : int
        What storage was asked for, headers included.
    checked_bytes : int
        Bytes that match a checksum stored with them.
    bytes_cached : int
        Bytes that this machine still had.
    etag : str
        The version that was read.
    bottleneck : str
        What a faster load would need first: 'network', 'checksums' or 'device'; '' of a short one.
    what : str
        What it is, where 'N tensors' says too little: 'tensor 2184×121×1440 float32'.
    notes : tuple of str
        What a person should know besides.
    """

    url: str
    device: str
    tensor_count: int
    size_bytes: int
    bytes_read: int
    requests: int
    retries: int
    checked_bytes: int
    seconds: float
    bytes_cached: int = 0
    etag: str = ""
    bottleneck: Stage | Literal[""] = ""
    what: str = ""
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        rate = format_bytes((self.bytes_read + self.bytes_cached) / max(self.seconds, 1e-6))
        details = [f"{format_bytes(self.bytes_cached)} from the cache"] if self.bytes_cached else []
        details.append(format_count(self.requests, "request"))
        if self.retries:
            details.append(format_count(self.retries, "retry", "retries"))
        if self.checked_bytes:
            details.append("crc ok")
        details += [format_duration(self.seconds), f"{rate}/s"]
        if self.bottleneck:
            details.append(f"bound by {WORDS[self.bottleneck]}")
        what = self.what or format_count(self.tensor_count, "tensor")
        # A map of devices says 'on' itself.
        where = f", {self.device}" if ", rest on " in self.device else f" on {self.device}"
        line = f"{what}{where}, {format_bytes(self.size_bytes)} ({', '.join(details)})"
        return "; ".join([line, *self.notes])
