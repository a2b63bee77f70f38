"""``gozen hub``: run the hub, where users log in and start their labs, on one machine; for a small group."""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gozen.errors import BadRequest

if TYPE_CHECKING:
    from gozen.settings import Settings

_STATE = Path.home() / ".local" / "share" / "gozen-hub"
_PASSWORD_FILE = "password"  # noqa: S105 - the name of a file
_MODULES = "pip install 'gozen[hub,lab,sql]'"


def hub(
    ctx: typer.Context,
    settings: Annotated[
        Path | None,
        typer.Option(
            help="Settings file of the hub, in YAML. With it, --port and --state are ignored, and --test-login is "
            "refused."
        ),
    ] = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port at which the browser finds the hub.")] = 8000,
    state: Annotated[
        Path,
        typer.Option(
            help="Folder of the hub's database, and of the homes of test users; default: ~/.local/share/gozen-hub.",
            show_default=False,
        ),
    ] = _STATE,
    test_login: Annotated[
        list[str] | None,
        typer.Option("--test-login", help="User who may log in with a password that the command prints; repeatable."),
    ] = None,
) -> None:
    """Run the hub on this machine: people log in, and each gets a lab that reads the archive.

    Without --test-login people log in with their accounts of this machine, and the command must run as root. Each lab
    runs under the account of its user, and only this separates users. With --test-login all labs run under your
    account, so their users can read each other's files.
    """
    _check_modules()
    from gozen_hub.hub_main import checked_settings, hub_command
    from gozen_hub.hub_settings import VARIABLE
    from gozen_hub.machine_labs import check_machine, hold_state, prepare_state

    if settings and test_login:
        raise BadRequest("--settings and --test-login exclude one another: write login.test into the settings file")
    file = settings or _write_settings(state, port, test_login or [], ctx.obj.settings())
    found = checked_settings(file)
    if found.where != "machine":
        raise BadRequest(
            f"{file}: `gozen hub` runs on one machine, but the file has `where: {found.where}`; write `where: machine` "
            "into it"
        )
    prepare_state(found.state)
    hold_state(found.state)
    typer.echo(f"Gozen's hub: {found.public_url} (Ctrl-C ends it, and all labs)")
    if found.login.test and not settings:
        password = found.login.test.password_file.read_text().strip()
        typer.echo(f"log in as {' or '.join(sorted(found.login.test.users))} with the password {password}")
    warning = check_machine(found)
    if warning:
        typer.echo(f"warning: {warning}", err=True)
    os.environ[VARIABLE] = str(file.resolve())
    sys.stdout.flush()
    # The same process: signals reach the hub, which ends labs and proxy.
    os.execv(sys.executable, hub_command([]))  # noqa: S606


def _check_modules() -> None:
    for module in ("jupyterhub", "jupyterhub_traefik_proxy", "jupyterlab", "fastapi"):
        try:
            __import__(module)
        except ImportError as error:
            raise BadRequest(f"the hub needs the package {error.name}: {_MODULES}") from error


def _write_settings(state: Path, port: int, users: list[str], site: Settings) -> Path:
    """Write a settings file from the options."""
    from gozen.resources.yaml_dump import dump
    from gozen_hub.machine_labs import prepare_state

    if not users and os.geteuid() != 0:
        raise BadRequest(
            "for log-in with accounts of this machine, the hub must run as root, because it starts the lab of each "
            "user under that account; without root, use gozen hub --test-login NAME"
        )
    prepare_state(state)
    login: dict[str, Any] = {"method": "system"}
    if users:
        login = {"method": "test", "test": {"users": sorted(users), "password_file": str(_password(state))}}
    content = {
        "public_url": f"http://localhost:{port}",
        "where": "machine",
        "state": str(state.resolve()),
        "notebooks": str(notebooks_folder()),
        "login": login,
        "lab": {"start_timeout_s": 120},
        "archive": {"url": _absolute(str(site.archive)), "environment": _environment(site)},
        # Labs read the archive's files as accounts of this machine do: the page must not show less.
        "access": {"everyone": True},
    }
    file = state / "hub.yaml"
    file.write_text(dump(content))
    return file


def _password(state: Path) -> Path:
    """Return the file with the password of the test users, which is made if there is none."""
    file = state / _PASSWORD_FILE
    if not file.exists() or not file.read_text().strip():
        file.write_text(f"{secrets.token_urlsafe(12)}\n")
    file.chmod(0o600)
    return file.resolve()


def _absolute(archive: str) -> str:
    return archive if "://" in archive else str(Path(archive).resolve())


def _environment(site: Settings) -> dict[str, str]:
    """Return the settings with which a lab reads the same archive; the folder of a lab has no settings file."""
    storage = site.storage.model_dump(mode="json", exclude_defaults=True)
    found = {f"GOZEN_STORAGE__{name.upper()}": str(value) for name, value in storage.items()}
    return {"GOZEN_INSTRUMENT": site.instrument, **found}


def notebooks_folder() -> Path:
    """Return the folder of the notebooks: in an image, in an installation, or in a checkout."""
    shipped = Path(sys.prefix) / "share" / "gozen" / "notebooks"
    return shipped if shipped.is_dir() else Path(__file__).resolve().parents[2] / "notebooks"
