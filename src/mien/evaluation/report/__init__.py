"""Reports of evaluations and comparisons: terminal tables, plots and HTML pages."""
