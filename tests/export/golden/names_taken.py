# -*- coding: utf-8 -*-
# Made from names_taken.ipynb by jupyter_gpu_ext 0.0.0.
# It runs without Jupyter. Edit the notebook and export it again, rather than this file.

from jupyter_gpu_ext.job import shell as _shell

# %% cell 1 id="cell-1"
import os
import jupyter_gpu_ext as jg
shell = os.environ['SHELL'], jg.__version__

# %% cell 2 id="cell-2"
os.environ["A"] = "1"
print(jg.gpu.status())
_shell.run(f"echo {shell}")
