"""HTTP service: images, videos and webcam streams in, faces and expressions out."""

from mien.serve.config import Settings

__all__ = ["Settings"]
