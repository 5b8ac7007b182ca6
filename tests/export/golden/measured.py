# -*- coding: utf-8 -*-
# Made from measured.ipynb by jupyter_gpu_ext 0.0.0.
# It runs without Jupyter. Edit the notebook and export it again, rather than this file.

import jupyter_gpu_ext as jg
from jupyter_gpu_ext.job import shell
from jupyter_gpu_ext.job.start import start


def main() -> None:
    global sizes, weights, step, freed
    start(__file__)

    # %% cell 1 id="cell-1"
    # dropped: %load_ext jupyter_gpu_ext

    # %% cell 2 id="cell-2"
    with jg.measure():
        # Load and look.
        weights = jg.load("weights://resnet50.safetensors", cache=True)
        sizes = {name: one.nbytes for name, one in weights.items()}
        print(f"""
{len(sizes)} tensors
""")

    # %% cell 3 id="cell-3"
    with jg.measure():
        for step in range(3):
            shell.run(f"echo {step}")
            print(jg.gpu.status())

    # %% cell 4 id="cell-4"
    print(jg.gpu.who())
    freed = jg.gpu.release()
    print(jg.gpu.release("cache", "traceback", "outputs"))  # all that costs no variable


if __name__ == "__main__":
    main()

# lines: 15=1.1 16 18=2.1 25 27=3.1 31 33=4.1 36
