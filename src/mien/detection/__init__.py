"""Face detection: where the faces in an image are."""
