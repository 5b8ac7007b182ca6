"""A training run's view of storage over time: its checkpoints."""
