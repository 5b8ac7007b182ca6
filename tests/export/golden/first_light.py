# -*- coding: utf-8 -*-
# Made from first_light.ipynb by jupyter_gpu_ext 0.0.0.
# It runs without Jupyter. Edit the notebook and export it again, rather than this file.

import jupyter_gpu_ext as jg
from jupyter_gpu_ext.job.start import start

# %% cell 1 [markdown] id="cell-1"
# # ResNet, loaded straight to the device
#
# The weights are read from `weights://`.

# %% cell 2 id="cell-2"
# dropped: %load_ext jupyter_gpu_ext
# dropped: %matplotlib inline
import torch


def main() -> None:
    global resnet50, checksum
    start(__file__)

    # %% cell 3 id="cell-3"
    torch.manual_seed(0)
    print(jg.gpu.status())

    # %% cell 4 id="cell-4"
    resnet50 = jg.load("weights://resnet50.pth")

    # %% cell 5 id="cell-5"
    checksum = sum(float(t.double().sum()) for t in resnet50.values())
    checksum

    # %% cell 6 [raw] id="cell-6"
    # notes

    # %% cell 7 id="cell-7"
    # left out: tagged skip


if __name__ == "__main__":
    main()

# lines: 14=2.1 17 24=3.1 26 28=4.1 29 31=5.1 33
