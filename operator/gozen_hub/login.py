"""How people log in: an OpenID provider, the accounts of this machine, or one shared password for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gozen.errors import BadRequest
from gozen_hub.hub_settings import HubSettings
from gozen_hub.login_settings import OpenIdSettings, TestLoginSettings

USER_LENGTH, ADMIN_LENGTH = 8, 32
"""Fewest characters of the passwords of JupyterHub's shared log-in."""


def configure_login(c: Any, settings: HubSettings) -> None:
    """Set the hub's authenticator.

    Raises
    ------
    BadRequest
        A file with a secret cannot be read, or is empty.
    """
    login = settings.login
    c.Authenticator.admin_users = set(login.admins)
    c.Authenticator.auto_login = login.method == "openid"
    if login.openid and login.method == "openid":
        _openid(c, login.openid, settings.public_url)
    elif login.test and login.method == "test":
        _test(c, login.test)
    else:
        c.JupyterHub.authenticator_class = "pam"
        c.Authenticator.allow_all = True


def _openid(c: Any, provider: OpenIdSettings, public_url: str) -> None:
    c.JupyterHub.authenticator_class = "generic-oauth"
    names = ("client_id", "authorize_url", "token_url", "userdata_url", "username_claim")
    for name in names:
        setattr(c.GenericOAuthenticator, name, getattr(provider, name))
    c.GenericOAuthenticator.client_secret = secret(provider.client_secret_file)
    c.GenericOAuthenticator.oauth_callback_url = f"{public_url.rstrip('/')}/hub/oauth_callback"
    c.GenericOAuthenticator.scope = list(provider.scope)
    c.GenericOAuthenticator.login_service = provider.label
    c.GenericOAuthenticator.logout_redirect_url = provider.logout_url
    # A function: in a text, dots would separate levels, and claims such as https://example.org/groups contain dots.
    c.GenericOAuthenticator.auth_state_groups_key = lambda state: state["oauth_user"].get(provider.groups_claim, [])
    c.Authenticator.manage_groups = True
    if provider.allowed_groups:
        c.GenericOAuthenticator.allowed_groups = set(provider.allowed_groups)
    else:
        c.Authenticator.allow_all = True


def _test(c: Any, test: TestLoginSettings) -> None:
    c.JupyterHub.authenticator_class = "shared-password"
    c.SharedPasswordAuthenticator.user_password = secret(test.password_file, USER_LENGTH)
    c.Authenticator.allowed_users = set(test.users)
    if test.admin_password_file:
        c.SharedPasswordAuthenticator.admin_password = secret(test.admin_password_file, ADMIN_LENGTH)


def secret(path: Path, length: int = 1) -> str:
    """Return the secret that is the content of a file.

    Raises
    ------
    BadRequest
        The file cannot be read, or is empty, or has fewer characters than `length`.
    """
    try:
        found = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise BadRequest(
            f"{path}: the secret cannot be read: {error}; check the path and who may read the file"
        ) from error
    if not found:
        raise BadRequest(
            f"{path} is empty; write the secret into it: a password, or the client secret of the OpenID provider"
        )
    if len(found) < length:
        raise BadRequest(f"{path} has a password of {len(found)} characters; it must have {length} or more")
    return found
