"""Arrays inside bytes: what is inside, what a load costs, host arrays, device tensors."""
