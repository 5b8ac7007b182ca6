#!/usr/bin/env python
"""Docker's health check: ends with 0 while the notebook server answers and its GPU is well, else with 1.

The doctor computes on the GPU, and that takes memory which a training may need. So it is asked until it finds no error,
and from then on the driver alone is.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from urllib.request import ProxyHandler, build_opener

from jupyter_core.paths import jupyter_runtime_dir

from jupyter_gpu_ext import gpu

# Gone with the container, unlike what lies in the home folder.
EXAMINED = Path(tempfile.gettempdir()) / "jupyter-gpu-examined"
# Never through a proxy that the environment names.
DIRECT = build_opener(ProxyHandler({}))


def complaints() -> list[str]:
    """Return what is wrong, a sentence each."""
    # What each server writes when it starts: its port, and its base below a hub or a proxy.
    if not any(map(answers, Path(jupyter_runtime_dir()).glob("jpserver-*.json"))):
        return ["No notebook server answers."]
    if EXAMINED.exists():
        now = gpu.status()
        return [f"{now.reason} {now.hint}"] if now.state == "broken" else []
    report = gpu.doctor(preflight=True)
    if report.verdict == "error":
        return [f"{one.title} {one.fix}" for one in report.findings if one.level == "error"]
    EXAMINED.touch()
    return []


def answers(written: Path) -> bool:
    """Tell whether that server answers here; the version of the API needs no token."""
    try:
        one = json.loads(written.read_text())
        with DIRECT.open(f"http://127.0.0.1:{one['port']}{one['base_url']}api", timeout=5) as reply:
            return bool(reply.status == 200)
    except (OSError, ValueError, LookupError):
        # Of a server that is gone, or written by half.
        return False


if __name__ == "__main__":
    found = complaints()
    sys.stdout.write("\n".join(found or ["Healthy."]) + "\n")
    sys.exit(1 if found else 0)
