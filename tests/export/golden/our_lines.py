# -*- coding: utf-8 -*-
# Made from our_lines.ipynb by jupyter_gpu_ext 0.0.0.
# It runs without Jupyter. Edit the notebook and export it again, rather than this file.
# What `first` and `display` do is done on the first rank only.

import jupyter_gpu_ext as jg
from jupyter_gpu_ext.job.rank import first
from jupyter_gpu_ext.job.start import start

# %% cell 7 id="cell-7"
def read(name):
    tensors = jg.load(f"weights://{name}")
    return tensors


def main() -> None:
    global url, d, i, run, a, b, c, e, f, x, y, n, é, names, größe, last, text, mod, timed, total, result, saved
    start(__file__)

    # %% cell 1 id="cell-1"
    url = 'weights://a.pt'
    d = {'k': 'x'}
    run, i = 'run7', 0

    # %% cell 2 id="cell-2"
    # the braces rules
    a = jg.load(url)
    b = jg.load(url, keys=["!head.*", i])
    c = jg.load(f"weights://{run}/a b.pt")  # kept
    e = jg.load("weights://$undefined/{x}.pt")
    f = jg.load("weights://{}/b.pt".format(d['k']))

    # %% cell 3 id="cell-3"
    x = jg.load("weights://x.pt", device="cpu")  # on the host
    y = jg.load("weights://y.pt", keys=["layer.*"])
    d['z'], n = jg.load(url)

    # %% cell 4 id="cell-4"
    é = 'ü'; names = [é]
    if names:
        # indented, and after non-ASCII text
        print(jg.ls("weights://", limit=len(names)))
        größe = jg.info("weights://größe.pt")
        for url in names:
    	    last = jg.load(url)

    # %% cell 5 id="cell-5"
    text = '''
%load_blob weights://no.pt
!rm -rf /
'''
    mod = 5 \
      %3
    # %load_blob weights://comment.pt
    print(f"{mod} %gpu")  # ! %

    # %% cell 6 id="cell-6"
    # dropped: %%time
    timed = jg.load("weights://timed.pt")
    total = sum(timed)
    result = len(timed)  # how many
    print(jg.gpu.status())

    # %% cell 7 id="cell-7"
    first(print)(first(jg.save)(x, f"weights://{run}/x.safetensors"))
    saved = first(jg.save)(dict(d, x=x), f"weights://{run}/all.pt", overwrite=True)  # both

    # %% cell 8 id="cell-8"
    # dropped: %blob --help
    # dropped: %load_blob -h


if __name__ == "__main__":
    main()

# lines: 11=7.1 14 21=1.1 24 26=2.1 32 34=3.1 36=3.5 37 39=4.1 46 48=5.1 56 58=6.1 59=6.3 63 65=7.4 67 69=8.1 71
