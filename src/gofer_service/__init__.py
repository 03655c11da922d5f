"""The reference service of gofer: papers by DOI, fetched as jobs behind a small HTTP API.

It needs the extra ``service``. This package exports the functions that run the service; its parts are in the modules.
"""

from gofer_service.app import create_app
from gofer_service.server import embedded, local_app, running, sample_library, serve

__all__ = ["create_app", "embedded", "local_app", "running", "sample_library", "serve"]
