"""How much memory this process can have on the host: what the machine has left, or its container."""

from __future__ import annotations

from pathlib import Path

import psutil

_CGROUP = Path("/sys/fs/cgroup")


def host_memory(cgroup: Path = _CGROUP) -> tuple[int, int]:
    """Return what is free and the total, in bytes.

    A container's limit counts where it is less than the machine's; what its page cache holds is free.
    """
    machine = psutil.virtual_memory()
    free, total = machine.available, machine.total
    for limit_name, usage_name, cache_name in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "total_inactive_file"),
    ):
        limit, usage = _number(cgroup / limit_name), _number(cgroup / usage_name)
        if limit is not None and usage is not None and limit < total:
            cached = _field((cgroup / limit_name).with_name("memory.stat"), cache_name)
            free, total = min(free, max(0, limit - usage + cached)), limit
    return free, total


def _number(path: Path) -> int | None:
    try:
        text = path.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdecimal() else None


def _field(path: Path, name: str) -> int:
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{name} ")), 0)
