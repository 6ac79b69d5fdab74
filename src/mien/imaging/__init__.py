"""Image files and bytes as pixels, within limits, and face crops."""
