# -*- coding: utf-8 -*-
# Made from Train ResNet.ipynb by jupyter_gpu_ext 0.0.0.
# It runs without Jupyter. Edit the notebook and export it again, rather than this file.
# What `first` and `display` do is done on the first rank only.

import jupyter_gpu_ext as jg
from jupyter_gpu_ext.job.parameters import Parameter
from jupyter_gpu_ext.job.rank import first
from jupyter_gpu_ext.job.start import start

# %% cell 3 id="c3"
import pandas, torch
from helpers import loss_of

PARAMETERS = (
    Parameter("lr", 0.001, annotation="float", help="step of the optimiser"),
    Parameter("steps", 2000),
    Parameter("resume", False),
    Parameter("out", 'run7://m'),
)


def main() -> None:
    global lr, steps, resume, out, w, loss, step
    given = start(__file__, PARAMETERS)

    # %% cell 1 id="c1"
    # dropped: %load_ext jupyter_gpu_ext

    # %% cell 2 id="c2"
    lr = given.lr  # step of the optimiser
    steps = given.steps
    resume = given.resume
    out = given.out

    # %% cell 4 id="c4"
    w = jg.load("weights://w.npy")

    # %% cell 5 id="c5"
    for step in range(steps):
        loss = loss_of(w) * lr

    # %% cell 6 id="c6"
    first(print)(first(jg.save)(w, f"{out}/w.npy"))


if __name__ == "__main__":
    main()

# lines: 12=3.1 14 28=1.1 29 31=2.1 35 37=4.1 38 40=5.1 42 44=6.1 45
