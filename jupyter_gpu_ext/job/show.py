"""`display` of a notebook, in a script."""

from __future__ import annotations

import io
import sys
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import TYPE_CHECKING

from jupyter_gpu_ext.job.rank import rank

if TYPE_CHECKING:
    from collections.abc import Iterator


class Captured:
    """What a block wrote.

    Attributes
    ----------
    stdout, stderr : str
        Whole when the block has ended.
    """

    stdout = ""
    stderr = ""

    def __str__(self) -> str:
        return self.stdout

    def show(self) -> None:
        """Write it now."""
        sys.stdout.write(self.stdout)
        sys.stderr.write(self.stderr)

    __call__ = show


@contextmanager
def capture() -> Iterator[Captured]:
    r"""Keep what a block writes, as `%%capture` does.

    Examples
    --------
    >>> with capture() as said:
    ...     print("quiet")
    >>> said.stdout
    'quiet\n'
    """
    said, output, errors = Captured(), io.StringIO(), io.StringIO()
    try:
        with redirect_stdout(output), redirect_stderr(errors):
            yield said
    finally:
        said.stdout, said.stderr = output.getvalue(), errors.getvalue()


def display(*values: object, **_options: object) -> None:
    """Write each value as the prompt would show it, on the first rank; options of a browser have no effect."""
    if rank() == 0:
        for value in values:
            sys.stdout.write(f"{value!r}\n")
