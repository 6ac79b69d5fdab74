"""Pictures in over HTTP, faces and expressions out: a service with a page, safe behind a reverse proxy as it comes."""

from mien.serve.config import Settings

__all__ = ["Settings"]
