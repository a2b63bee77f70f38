"""A server for tests that answers as Nextcloud's developer manual describes.

``server`` runs it; ``routes`` maps addresses to parts: ``dav`` for files (WebDAV by wsgidav), ``writes`` for uploads in
one request, ``chunks`` for uploads in chunks. Other interfaces (OCS, log-in flow) are added to
``NextcloudServer.routes``. ``faults`` breaks requests that a test chooses.

Tests must not depend on what the manual does not define, such as the order of checks.
"""

from .faults import Fault, Plan
from .server import NextcloudServer

__all__ = ["Fault", "NextcloudServer", "Plan"]
