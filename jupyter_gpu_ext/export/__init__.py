"""From a notebook to a script that does the same without Jupyter and without IPython."""
