"""Limits, security checks and the access log, in front of the routes."""
