# -*- coding: utf-8 -*-
# Made from copy_remove.ipynb by jupyter_gpu_ext 0.0.0.
# It runs without Jupyter. Edit the notebook and export it again, rather than this file.

import jupyter_gpu_ext as jg
from jupyter_gpu_ext.job.start import start


def main() -> None:
    global folder, run, receipt
    start(__file__)

    # %% cell 1 id="cell-1"
    folder, run = './down', 7

    # %% cell 2 id="cell-2"
    print(jg.cp("weights://a.pt", "~/models/"))
    print(jg.cp(f"weights://run {run}", folder, recursive=True, overwrite=True))  # all of it
    receipt = jg.cp(f"{folder}/x", "weights://x")

    # %% cell 3 id="cell-3"
    print(jg.rm("weights://x"))
    print(jg.rm("weights://old/", recursive=True))


if __name__ == "__main__":
    main()

# lines: 14=1.1 15 17=2.1 20 22=3.1 24
