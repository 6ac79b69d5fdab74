"""HTTP service: images, videos and webcam streams in, faces and expressions out.

`mien serve` runs it. From Python:

    from mien.serve import Settings
    from mien.serve.server import serve

    serve(Settings(port=8000))  # until Ctrl-C

>>> Settings(port=0, hosts=("faces.example.org",)).allowed_hosts >= {"localhost", "faces.example.org"}
True
"""

from mien.serve.config import Settings

__all__ = ["Settings"]
