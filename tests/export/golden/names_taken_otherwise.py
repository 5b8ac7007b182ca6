# -*- coding: utf-8 -*-
# Made from names_taken_otherwise.ipynb by jupyter_gpu_ext 0.0.0.
# It runs without Jupyter. Edit the notebook and export it again, rather than this file.

import os as _os

import jupyter_gpu_ext as _jg
from jupyter_gpu_ext.job.start import start


def main() -> None:
    global jg, os
    start(__file__)

    # %% cell 1 id="cell-1"
    jg = _jg.load("weights://jg.pt")
    os = 'linux'

    # %% cell 2 id="cell-2"
    _os.environ["OS"] = str(os)
    print(_jg.gpu.status())


if __name__ == "__main__":
    main()

# lines: 16=1.1 18 20=2.1 22
