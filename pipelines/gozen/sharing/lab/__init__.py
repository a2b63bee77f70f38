"""JupyterLab's dialog that shares files through Nextcloud: the part of the server, and the script of the page.

``share_handlers`` has the addresses to which the script (``jupyter/labextensions/gozen-share/static``) sends requests.
``lab_places`` finds the path of a file in Nextcloud, ``lab_shares`` lists and changes shares, ``lab_upload`` and
``lab_log_in`` work in threads.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

JUPYTER = Path(__file__).with_name("jupyter")
"""Folder with the page's part and the server's configuration, for JUPYTER_PATH and JUPYTER_CONFIG_PATH."""


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": __name__}]


def _load_jupyter_server_extension(server: Any) -> None:
    from gozen.sharing.lab.share_handlers import add_handlers

    add_handlers(server.web_app)
