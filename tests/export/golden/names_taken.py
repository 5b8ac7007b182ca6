# -*- coding: utf-8 -*-
# Made from names_taken.ipynb by jupyter_gpu_ext 0.0.0.
# It runs without Jupyter. Edit the notebook and export it again, rather than this file.

from jupyter_gpu_ext.job import shell as _shell
from jupyter_gpu_ext.job.start import start

# %% cell 1 id="cell-1"
import os
import jupyter_gpu_ext as jg


def main() -> None:
    global shell
    start(__file__)

    # %% cell 1 id="cell-1"
    shell = os.environ['SHELL'], jg.__version__

    # %% cell 2 id="cell-2"
    os.environ["A"] = "1"
    print(jg.gpu.status())
    _shell.run(f"echo {shell}")


if __name__ == "__main__":
    main()

# lines: 9=1.1 11 18=1.3 19 21=2.1 24
