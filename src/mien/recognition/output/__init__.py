"""Results written as files and tables."""
