"""The Dockerfile, for those who build an image of the job."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jupyter_gpu_ext.export.target import Target


def to_text(target: Target, files: Sequence[str]) -> str:
    """Return the text of the Dockerfile.

    Parameters
    ----------
    files : sequence of str
        What the script needs of the folder.
    """
    wanted = "requirements-image.txt" if target.installs else ""
    # What comes with the notebook's image is there already.
    install = (
        [
            f"COPY {wanted} /tmp/",
            f"RUN python -m pip install --no-cache-dir --no-deps --requirement /tmp/{wanted}",
        ]
        if wanted
        else []
    )
    return "\n".join(
        [
            f"# docker build -t {target.built_image} . && docker push …; then --image NAME --code image.",
            f"FROM {target.image}",
            "",
            "USER 0",
            *install,
            # A user with a name: torch's compiler asks for it.
            "RUN id 1000 >/dev/null 2>&1 || useradd --uid 1000 --create-home train",
            f"COPY {' '.join(files)} /app/",
            "",
            "ENV HOME=/tmp USER=train MPLBACKEND=Agg PYTHONUNBUFFERED=1 \\",
            "    TORCHINDUCTOR_CACHE_DIR=/tmp/inductor TRITON_CACHE_DIR=/tmp/triton",
            "USER 1000",
            "WORKDIR /work",
            f"CMD {json.dumps(target.command('/app/train.py'))}",
            "",
        ]
    )
