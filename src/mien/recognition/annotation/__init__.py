"""Images annotated with faces and their expressions."""
