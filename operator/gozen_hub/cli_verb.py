"""``gozen hub``: the platform's hub on one machine, for a small group or for development."""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from gozen.errors import BadRequest

_STATE = Path.home() / ".local" / "share" / "gozen-hub"
_PASSWORD_FILE = "password"  # noqa: S105 - the name of a file
_MODULES = "pip install 'gozen[hub,lab]'"


def hub(
    ctx: typer.Context,
    settings: Annotated[
        Path | None, typer.Option(help="Settings of the hub in YAML; without it, the options below.")
    ] = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port at which the browser finds the hub.")] = 8000,
    state: Annotated[Path, typer.Option(help="Folder of the hub's database, and of the homes of test users.")] = _STATE,
    test_login: Annotated[
        list[str] | None,
        typer.Option("--test-login", help="User who may log in with a password that the command prints; repeatable."),
    ] = None,
) -> None:
    """Run the hub on this machine: people log in, and each gets a lab that reads the archive.

    Without --test-login people log in with their accounts of this machine, and the command must run as root. Labs run
    as processes; only the accounts of the system protect their users from each other.
    """
    _check_modules()
    from gozen_hub.hub_settings import VARIABLE, read_hub_settings
    from gozen_hub.machine_labs import check_machine, prepare_state

    prepare_state(state)
    file = settings or _write_settings(state, port, test_login or [], _archive(ctx))
    found = read_hub_settings(file)
    typer.echo(f"Gozen's hub: {found.public_url} (Ctrl-C ends it, and all labs)")
    if found.login.test and not settings:
        password = (state / _PASSWORD_FILE).read_text().strip()
        typer.echo(f"log in as {' or '.join(sorted(found.login.test.users))} with the password {password}")
    warning = check_machine(found)
    if warning:
        typer.echo(f"warning: {warning}", err=True)
    os.environ[VARIABLE] = str(file.resolve())
    # The hub starts traefik by its name: found also if the environment of Gozen has not been activated.
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    config = Path(__file__).with_name("jupyterhub_config.py")
    sys.stdout.flush()
    # The same process: signals reach the hub, which ends labs and proxy.
    os.execv(sys.executable, [sys.executable, "-m", "jupyterhub", f"--config={config}"])  # noqa: S606


def _check_modules() -> None:
    for module in ("jupyterhub", "jupyterhub_traefik_proxy", "jupyterlab", "fastapi"):
        try:
            __import__(module)
        except ImportError as error:
            raise BadRequest(f"the hub needs the package {error.name}: {_MODULES}") from error


def _archive(ctx: typer.Context) -> str:
    archive = str(ctx.obj.settings().archive)
    return archive if "://" in archive else str(Path(archive).resolve())


def _write_settings(state: Path, port: int, users: list[str], archive: str) -> Path:
    """Write the settings that the options stand for."""
    from gozen.resources.yaml_dump import dump

    if not users and os.geteuid() != 0:
        raise BadRequest(
            "to log in people with their accounts of this machine, the hub must run as root, because it starts the "
            "JupyterLab of each person under that account; without root, use gozen hub --test-login NAME"
        )
    login: dict[str, Any] = {"method": "system"}
    if users:
        password = state / _PASSWORD_FILE
        if not password.exists():
            password.touch(mode=0o600)
            password.write_text(f"{secrets.token_urlsafe(12)}\n")
        login = {"method": "test", "test": {"users": sorted(users), "password_file": str(password)}}
    content = {
        "public_url": f"http://localhost:{port}",
        "where": "machine",
        "state": str(state.resolve()),
        "notebooks": str(notebooks_folder()),
        "login": login,
        "lab": {"start_timeout_s": 120},
        "archive": {"url": archive},
    }
    file = state / "hub.yaml"
    file.write_text(dump(content))
    return file


def notebooks_folder() -> Path:
    """Return the folder of the notebooks: in an image, in an installation, or in a checkout."""
    shipped = Path(sys.prefix) / "share" / "gozen" / "notebooks"
    return shipped if shipped.is_dir() else Path(__file__).resolve().parents[2] / "notebooks"
