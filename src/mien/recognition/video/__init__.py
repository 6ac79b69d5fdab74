"""Faces in videos and webcam streams."""
