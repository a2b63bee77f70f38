"""The file that the lab's server reads at its start."""

from __future__ import annotations

from traitlets.config import get_config

c = get_config()
c.ServerApp.jpserver_extensions = {"gozen_hub.lab_activity": True}
# A file deleted in the browser is deleted; the trash would be a hidden folder that fills the home.
c.FileContentsManager.delete_to_trash = False
