"""A server that answers as Nextcloud's developer manual says, for tests.

``server`` runs it, ``routes`` says which part answers which address: ``dav`` the files (WebDAV by wsgidav), ``writes``
uploads in one request, ``chunks`` uploads in chunks. Other interfaces (OCS, log-in flow) are added to
``NextcloudServer.routes``. ``faults`` breaks requests that a test chooses.

What the manual does not say, such as the order of checks, is not to be relied upon.
"""

from .faults import Fault, Plan
from .server import NextcloudServer

__all__ = ["Fault", "NextcloudServer", "Plan"]
