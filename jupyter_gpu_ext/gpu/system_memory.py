"""The system's memory, for devices that have none of their own."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemMemory:
    """Bytes, in the words of NVML; the driver sets none apart, so `reserved` is 0."""

    total: int
    used: int
    free: int
    reserved: int = 0

    @classmethod
    def now(cls) -> SystemMemory:
        """Ask the operating system; free is what a program can have without swapping."""
        import psutil

        memory = psutil.virtual_memory()
        return cls(total=memory.total, used=memory.total - memory.available, free=memory.available)
