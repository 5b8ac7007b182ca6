"""The notebook's commands and the kernel's side of the control link."""
