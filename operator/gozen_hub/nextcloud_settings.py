"""Settings of the hub for Nextcloud: the server of the site, and the service that keeps users' app passwords."""

from __future__ import annotations

from pydantic import Field

from gozen_hub.settings_group import Group


class NextcloudSettings(Group):
    """The Nextcloud of the site; users log in there from their labs."""

    url: str = Field(
        "",
        pattern=r"^(https://\S+)?$",
        description="Default Nextcloud server of `gozen share login`; empty: the command needs an address",
    )
    home_folder: str = Field(
        "",
        pattern=r"^[^/].*$|^$",
        description="Path of the external storage that shows users' homes in Nextcloud, such as Lab; empty: none does",
    )
    service_url: str = Field(
        "", description="Address of the service for accounts; empty: labs keep no accounts; the chart sets it"
    )
    secret: str = Field("", description="Secret with the accounts, as namespace/name; the chart makes it")
