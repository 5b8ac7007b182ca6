# -*- coding: utf-8 -*-
# Made from ipython_lines.ipynb by jupyter_gpu_ext 0.0.0.
# It runs without Jupyter. Edit the notebook and export it again, rather than this file.
# What `first` and `display` do is done on the first rank only.

from __future__ import annotations

import os

from jupyter_gpu_ext.job import shell
from jupyter_gpu_ext.job.show import display
from jupyter_gpu_ext.job.start import start

# %% cell 2 id="cell-2"
# dropped: %reload_ext autoreload
# dropped: %autoreload 2
# dropped: %config InlineBackend.figure_format = 'retina'
# dropped: %who
# dropped: %lsmagic
# dropped: print?
import sys


def main() -> None:
    global home, n, files, m, lines
    start(__file__)

    # %% cell 1 id="cell-1"
    # at the top: from __future__ import annotations

    # %% cell 2 id="cell-2"
    if sys.argv:
        pass  # dropped: %pwd

    # %% cell 3 id="cell-3"
    # dropped: %pip install -q torch (put it into the requirements)
    # dropped: !pip install 'numpy>=2' tqdm (put it into the requirements)
    # dropped: %conda install -y jq (put it into the requirements)
    # dropped: %uv pip install x (put it into the requirements)

    # %% cell 4 id="cell-4"
    os.environ["A"] = "1 # all of it"
    os.environ["B"] = "two words"
    # dropped: %env B
    home = os.environ["HOME"]
    os.environ["C"] = f"{home}/x"
    os.chdir(os.path.expanduser("~"))
    os.chdir(os.path.expanduser("~/data"))
    os.chdir("my folder")
    os.chdir(os.path.expanduser(home))

    # %% cell 5 id="cell-5"
    n = 3
    shell.run("echo hello")
    shell.run("echo $HOME $PATH")
    shell.run(f"head -n {n} {home}/notes.txt      | sort")
    shell.run("echo {n} $n")
    shell.run("awk '{print $1}' notes.txt")
    files = shell.capture(f"ls -1 {home}")
    if n:
        shell.run("date")
    shell.run(str(home))

    # %% cell 6 id="cell-6"
    display(n, files)

    # %% cell 7 id="cell-7"
    # typed by hand
    pass; m = 1
    lines = [line for line in shell.capture("ls")]
    shell.run("true") # done


if __name__ == "__main__":
    main()

# lines: 15=2.1 22 29=1.1 30 32=2.8 34 36=3.1 40 42=4.1 51 53=5.1 57=5.6 63 65=6.1 66 68=7.1 72
