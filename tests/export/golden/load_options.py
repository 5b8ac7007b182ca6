# -*- coding: utf-8 -*-
# Made from load_options.ipynb by jupyter_gpu_ext 0.0.0.
# It runs without Jupyter. Edit the notebook and export it again, rather than this file.

import jupyter_gpu_ext as jg
from jupyter_gpu_ext.job.start import start

# %% cell 1 id="cell-1"
def make():
    return None


def main() -> None:
    global model, models, report, big, one, x
    start(__file__)

    # %% cell 1 id="cell-1"
    model = make()
    models = [model]

    # %% cell 2 id="cell-2"
    print(jg.load_into(model, "weights://x.pt", dtype="bfloat16"))  # in place
    print(jg.load_into(models[0], "weights://x.pt", keys=["layer.*"]))
    report = jg.load_into(models[0], "weights://x.pt")

    # %% cell 3 id="cell-3"
    big = None; big = jg.load("weights://big.pt", device="fit")
    big = jg.load("weights://big.pt", device="layers.*=cuda:0,*=cpu", resume=True, fit_check=False, cache=True)
    for one in models:
        big = None; big = jg.load("weights://big.pt")

    # %% cell 4 id="cell-4"
    print(jg.plan("weights://big.pt", device="auto"))
    print(jg.plan("weights://big.pt", dtype="bf16"))
    x = jg.load("weights://x.npy", select="0:100, :", raw=True)


if __name__ == "__main__":
    main()

# lines: 9=1.1 11 18=1.5 20 22=2.1 25 27=3.1 31 33=4.1 36
