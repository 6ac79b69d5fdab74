"""Training targets from labels and FER+ votes."""
