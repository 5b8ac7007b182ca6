"""Writes the control file of the fake driver library; its grammar stands in fake_control.c."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class Control:
    """What the fake answers from now on; every change takes effect at its next call."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "fake_nvml.txt"
        self.calls_file = folder / "calls.txt"
        self._lines: dict[str, bytes] = {}
        self.set("calls", str(self.calls_file))

    def set(self, key: str, value: str | int | bytes) -> None:
        self._lines[key] = value if isinstance(value, bytes) else str(value).encode()
        self._write()

    def unset(self, key: str) -> None:
        del self._lines[key]
        self._write()

    def fail(self, symbol: str, code: int, device: int | str = "*") -> None:
        self.set(f"return {symbol} {device}", code)

    def heal(self, symbol: str, device: int | str = "*") -> None:
        self.unset(f"return {symbol} {device}")

    def calls(self) -> Counter[str]:
        return Counter(self.calls_file.read_text().split() if self.calls_file.exists() else ())

    def _write(self) -> None:
        # Replaced in one step: another thread may be reading.
        new = self.file.with_suffix(".new")
        new.write_bytes(b"".join(key.encode() + b" " + value + b"\n" for key, value in self._lines.items()))
        new.replace(self.file)
