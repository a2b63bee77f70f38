"""``python -m gozen.portal``: run the portal as a service of JupyterHub."""

from __future__ import annotations

import logging
import os
import sys

import uvicorn

from gozen.errors import GozenError
from gozen.portal.portal_app import make_app
from gozen.portal.shell.portal_settings import PortalSettings
from gozen.settings import load_settings


def main() -> int:
    """Serve the pages until a signal arrives; return the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    try:
        settings = PortalSettings.of_environment(os.environ)
        app = make_app(settings, load_settings())
    except GozenError as error:
        sys.stderr.write(f"gozen.portal: {error}\n")
        return error.exit_code
    uvicorn.run(
        app,
        host=settings.listen_host,
        port=settings.listen_port,
        access_log=False,  # addresses of log-ins contain codes
        server_header=False,
        proxy_headers=False,  # all addresses come from the settings
        timeout_graceful_shutdown=5,
        log_config=None,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
