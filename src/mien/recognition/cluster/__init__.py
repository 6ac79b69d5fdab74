"""Images analyzed on a Ray cluster."""
