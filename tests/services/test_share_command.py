"""``gozen share`` with people and for the account, as a user at a terminal sees it.

Covered: output, exit code and one-line error of each command; the log-in with a printed page, and where the app
password is stored; the environment of a lab. Not covered: put and get; the effect of shares
(services/test_sharing_shares.py).
"""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from tests.free_ports import free_port

from gozen.cli.call import run
from gozen.sharing import installed

from .nextcloud_server.people import Person
from .nextcloud_server.sharing_server import SharingServer

ACCOUNT = "gozen/nextcloud-account.json"
PATIENCE_S = 120.0
Gozen = Callable[..., tuple[int, str, str]]


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SharingServer]:
    """Return a server, with the environment of a machine without a keyring on which nobody has logged in."""
    persons = [Person("hoshi", "of-hoshi", groups=("sky",)), Person("sora", "of-sora", name="Sora Aoki")]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
    for name in ("GOZEN_NEXTCLOUD_ACCOUNTS_URL", "JUPYTERHUB_API_TOKEN", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GOZEN_SHARING__PATIENCE_S", "0")
    with SharingServer(tmp_path / "server", persons, base="/cloud") as found:
        found.put("hoshi", "results/lc.parquet")
        yield found


@pytest.fixture
def account(server: SharingServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Log in by the settings of the environment, as a pod does."""
    account = server.account()
    monkeypatch.setenv("GOZEN_SHARING__URL", account.url)
    monkeypatch.setenv("GOZEN_SHARING__USER", account.user)
    monkeypatch.setenv("GOZEN_NEXTCLOUD_PASSWORD", account.password)


@pytest.fixture
def gozen(capsys: pytest.CaptureFixture[str]) -> Gozen:
    """Run ``gozen share`` in this process, and return its exit code and what it printed on both channels."""

    def call(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = run(["share", *words])
        return (code, *capsys.readouterr())

    return call


def failed(gozen: Gozen, *words: str) -> str:
    """Run a command that fails, and return its one line."""
    code, out, err = gozen(*words)
    assert (code, out) == (64, ""), out + err
    (line,) = err.splitlines()
    return line


@pytest.mark.usefixtures("account")
def test_share_list_and_withdraw(gozen: Gozen, server: SharingServer) -> None:
    assert gozen("list") == (0, "you share nothing\n", "")
    code, said, _ = gozen("with", "results", "sora", "--group", "sky", "--write")
    assert (code, "Sora Aoki (sora)" in said, said.count("read and write")) == (0, True, 2)
    seen = json.loads(gozen("list", "results/lc.parquet", "--json")[1])
    assert [(one["shared with"], one["kind"], one["path"]) for one in seen] == [
        ("sky", "group", "results/"),
        ("Sora Aoki (sora)", "user", "results/"),
    ]
    assert gozen("list", "--csv")[1].splitlines()[0].startswith('"path","shared with"')
    assert gozen("withdraw", "results", "--user", "sora") == (0, "", "1 share withdrawn\n")
    assert [one.receiver for one in server.book.items] == ["sky"]
    assert gozen("withdraw", "results", "--all") == (0, "", "1 share withdrawn\n")
    assert gozen("list", "results") == (0, "only you see results\n", "")


@pytest.mark.usefixtures("account")
def test_a_link_is_printed_alone_so_that_a_script_can_use_it(gozen: Gozen, server: SharingServer) -> None:
    code, out, err = gozen("link", "results", "--expires", "30d", "--label", "talk")
    (item,) = server.book.items
    assert (code, out) == (0, f"{server.url}/s/{item.token}\n")
    assert re.fullmatch(r"results: read, until \d{4}-\d\d-\d\d, without a password\n", err)
    gozen("link", "results", "--label", "other")
    assert gozen("withdraw", "results", "--label", "talk")[2] == "1 share withdrawn\n"
    assert gozen("withdraw", "--id", server.book.items[0].id)[2] == "1 share withdrawn\n"
    assert server.book.items == []


@pytest.mark.usefixtures("account")
def test_a_new_password_is_printed_once_and_a_qr_code_if_asked(gozen: Gozen, server: SharingServer) -> None:
    said = gozen("link", "results", "--new-password", "--qr")[1].splitlines()
    assert said[1] == f"password: {server.book.items[0].password}"
    assert len(said) > 15
    assert set("".join(said[2:])) <= set(" ▀▄█")
    made = json.loads(gozen("link", "results", "--new-password", "--json")[1])
    assert made["password"] == server.book.items[1].password
    assert made["url"].endswith(server.book.items[1].token)


@pytest.mark.usefixtures("account")
def test_a_password_comes_from_a_pipe_and_is_not_printed(
    gozen: Gozen, server: SharingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for form in ((), ("--json",)):
        monkeypatch.setattr(sys, "stdin", io.StringIO("a-good-password\n"))
        code, out, err = gozen("link", "results", "--password", *form)
        assert (code, server.book.items[-1].password) == (0, "a-good-password")
        assert "a-good-password" not in out + err
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    assert "reads the password from standard input, which is empty" in failed(gozen, "link", "results", "--password")


@pytest.mark.usefixtures("account")
@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["with", "results"], "BadRequest: name at least one user or group"),
        (["with", "results", "hoshi"], "BadRequest: hoshi is your own account"),
        (["with", "results", "soar"], "CloudPathNotFound: .*the server says.*did you mean sora"),
        (["with", "nothing", "sora"], "CloudPathNotFound: cannot share nothing: the server says"),
        (["link", "results", "--expires", "2020-01-01"], "BadRequest: the link cannot expire on 2020-01-01"),
        (["link", "results", "--expires", "soon"], "BadRequest: 'soon' is neither a day"),
        (["link", "results", "--password", "--new-password"], "BadRequest: give only one of"),
        (["list", "nothing"], "CloudPathNotFound: cannot list the shares of nothing"),
        (["withdraw", "results"], "BadRequest: name PATH with --user"),
        (["withdraw", "results", "--user", "sora"], "CloudPathNotFound: results is not shared with the user sora"),
        (["withdraw", "results", "--label", "x"], "CloudPathNotFound: results has no link with the label 'x'"),
        (["withdraw", "results", "--links"], "CloudPathNotFound: there is nothing to withdraw"),
        (["withdraw", "--id", "77"], "CloudPathNotFound: cannot withdraw the share 77"),
        (["withdraw", "results", "--id", "77"], "BadRequest: name PATH with"),
    ],
)
def test_each_mistake_is_one_line(gozen: Gozen, words: list[str], line: str) -> None:
    assert re.match(f"gozen: {line}", failed(gozen, *words))


def test_without_a_log_in_the_line_says_how(gozen: Gozen, server: SharingServer) -> None:
    line = failed(gozen, "list")
    assert line.startswith("gozen: LogInRefused: you are not logged in at a Nextcloud: log in with `gozen share login")
    assert failed(gozen, "login").startswith("gozen: BadRequest: give the address of your Nextcloud")
    assert gozen("logout") == (0, "", "you were not logged in\n")


def test_log_in_share_and_log_out(gozen: Gozen, server: SharingServer, tmp_path: Path) -> None:
    before = dict(server.person("hoshi").app_passwords)
    kept, log = tmp_path / "config" / ACCOUNT, tmp_path / "log"
    with log.open("w") as said:
        command = [sys.executable, "-m", "gozen", "share", "login", server.url]
        process = subprocess.Popen(command, stdout=said, stderr=said, cwd=tmp_path)
    page = wait_for(log, rf"{re.escape(server.url)}/login/v2/flow/\w+")
    assert httpx.post(page, data={"user": "hoshi", "password": "of-hoshi"}).status_code == 200
    assert process.wait(PATIENCE_S) == 0
    assert f"logged in at {server.url} as hoshi; {kept} keeps the app password" in " ".join(log.read_text().split())
    assert (kept.stat().st_mode & 0o777, "of-hoshi" in kept.read_text()) == (0o600, False)
    assert "Sora" in gozen("with", "results", "sora")[1]
    assert "gozen share logout" in failed(gozen, "login", server.url)
    kept.chmod(0o644)
    assert "chmod 600" in failed(gozen, "list")
    kept.chmod(0o600)
    said_at_end = f"logged out: the app password of hoshi at {server.url} is revoked and forgotten\n"
    assert gozen("logout") == (0, "", said_at_end)
    assert server.person("hoshi").app_passwords == before
    assert not kept.exists()


def wait_for(log: Path, pattern: str) -> str:
    """Return what a running command prints, as soon as it is there."""
    deadline = time.monotonic() + PATIENCE_S
    while not (found := re.search(pattern, log.read_text())):
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.01)
    return found[0]


def test_a_wrong_address_is_said_soon(gozen: Gozen, server: SharingServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOZEN_SHARING__PATIENCE_S", "300")
    url, began = f"http://127.0.0.1:{free_port()}", time.monotonic()
    code, out, err = gozen("login", url)
    assert (code, out) == (75, "")
    assert err.startswith(f"gozen: CloudUnavailable: cannot log in at {url}: {url} cannot be reached")
    assert time.monotonic() - began < 20


def test_a_log_in_ends_when_nobody_agrees(gozen: Gozen, server: SharingServer) -> None:
    code, out, err = gozen("login", server.url, "--minutes", "0.01")
    assert (code, out.startswith(f"{server.url}/login/v2/flow/")) == (64, True)
    assert err.splitlines()[-1].startswith("gozen: LogInRefused: cannot log in at")


def test_the_address_in_the_settings_is_the_default(
    gozen: Gozen, server: SharingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOZEN_SHARING__URL", server.url)
    assert gozen("login", "--minutes", "0.01")[1].startswith(f"{server.url}/login/v2/flow/")


def test_in_a_lab_of_a_hub_that_keeps_no_accounts_nothing_is_written(
    gozen: Gozen, server: SharingServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "of-the-lab")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    assert "hub.nextcloud.enabled" in failed(gozen, "login", server.url, "--minutes", "0.01")
    assert server.faults.log == []
    assert not (tmp_path / "config").exists()


def test_a_machine_without_the_packages_is_told_how_to_get_them(gozen: Gozen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installed, "find_spec", lambda name: None if name == "segno" else name)
    assert failed(gozen, "list") == "gozen: BadRequest: gozen share needs segno: run pip install 'gozen[sharing]'"


def test_the_help_names_every_verb(gozen: Gozen) -> None:
    said = gozen("--help")[1]
    for verb in ("with", "link", "list", "withdraw", "login", "logout"):
        assert re.search(rf"^│ {verb} ", said, re.MULTILINE)
        assert len(gozen(verb, "--help")[1]) > 300
