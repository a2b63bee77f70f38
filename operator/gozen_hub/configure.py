"""The whole configuration of JupyterHub: one function of the settings."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import gozen.portal
from gozen_hub.hub_services import HUB_PORT, portal_page, roles, services
from gozen_hub.hub_settings import HubSettings
from gozen_hub.lab_pods import pod_traits
from gozen_hub.login import configure_login
from gozen_hub.machine_labs import free_port, machine_spawner, machine_traits, prepare_state, search_path

PROXY_PORT = 8000
_PORTAL = Path(gozen.portal.__file__).parent


def configure(c: Any, settings: HubSettings) -> None:
    """Configure the hub.

    Parameters
    ----------
    c
        The configuration object of traitlets, as ``get_config()`` returns it.

    Raises
    ------
    BadRequest
        A file with a secret cannot be read.
    """
    public = settings.public_url.rstrip("/")
    c.JupyterHub.public_url = f"{public}/"
    if settings.user_hosts:
        c.JupyterHub.subdomain_host = public
    c.JupyterHub.db_url = f"sqlite:///{settings.state / 'jupyterhub.sqlite'}"
    c.JupyterHub.cookie_secret_file = str(settings.state / "cookie_secret")
    c.JupyterHub.default_url = portal_page(settings)
    token = os.environ.get("GOZEN_HUB_CREDENTIALS_TOKEN", "")
    c.JupyterHub.services = services(settings, os.environ.get("GOZEN_HUB_PORTAL_TOKEN", ""), token)
    c.JupyterHub.load_roles = roles(settings, token)
    c.JupyterHub.authenticate_prometheus = False
    # The hub's own pages look like the portal's, and contain its stylesheet: they work while the portal is away.
    c.JupyterHub.template_paths = [str(_PORTAL / "hub_templates"), str(_PORTAL / "static")]
    c.JupyterHub.template_vars = {"gozen_portal": portal_page(settings)}
    # Pages of the hub are never shown inside another page.
    c.JupyterHub.tornado_settings = {"headers": {"Content-Security-Policy": "frame-ancestors 'none'"}}
    c.Spawner.default_url = "/lab"
    configure_login(c, settings)
    (_cluster if settings.where == "cluster" else _machine)(c, settings)


def _cluster(c: Any, settings: HubSettings) -> None:
    c.JupyterHub.hub_bind_url = f"http://:{HUB_PORT}"
    c.JupyterHub.hub_connect_url = settings.hub_url
    c.JupyterHub.proxy_class = "configurable-http-proxy"
    c.ConfigurableHTTPProxy.should_start = False  # a pod of its own: connections outlive a restart of the hub
    c.ConfigurableHTTPProxy.api_url = settings.proxy_api_url
    c.JupyterHub.cleanup_servers = False
    c.JupyterHub.spawner_class = "gozen_hub.lab_spawner.LabSpawner"
    c.LabSpawner.namespace_service_url = settings.namespaces.service_url
    for name, value in pod_traits(settings).items():
        setattr(c.KubeSpawner, name, value)


def _machine(c: Any, settings: HubSettings) -> None:
    prepare_state(settings.state)
    parts = urlsplit(settings.public_url)
    c.JupyterHub.bind_url = f"http://{settings.bind}:{parts.port or PROXY_PORT}"
    c.JupyterHub.hub_bind_url = f"http://127.0.0.1:{free_port()}"
    c.JupyterHub.proxy_class = "traefik_file"
    c.TraefikFileProviderProxy.traefik_env = {"PATH": search_path()}  # the proxy is started by its name
    c.TraefikFileProviderProxy.traefik_api_url = f"http://127.0.0.1:{free_port()}"
    c.TraefikFileProviderProxy.static_config_file = str(settings.state / "traefik.yaml")
    c.TraefikFileProviderProxy.dynamic_config_file = str(settings.state / "routes.yaml")
    c.JupyterHub.spawner_class = machine_spawner(settings)
    for name, value in machine_traits(settings).items():
        setattr(c.Spawner, name, value)
