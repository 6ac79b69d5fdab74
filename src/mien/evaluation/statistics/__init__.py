"""Metrics, calibration, confidence intervals and paired tests."""
