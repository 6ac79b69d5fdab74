"""Run folders, checkpoints and weights."""
