"""Comparisons of training runs and of models."""
