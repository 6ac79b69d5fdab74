"""Pictures in, faces and expressions out; no torch."""
