"""The lab's server for the dialog that shares files: what it answers, and whom it refuses.

Covered: log-in with the browser and log-out; a transfer with its progress, a conflict, an end by the user; shares,
links and their end; one home; requests that are not allowed. Not here: the dialog itself
(services/test_share_dialog.py).
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from jupyter_server.serverapp import ServerApp
from tests.free_ports import free_port
from tornado.httpserver import HTTPServer

from gozen.sharing.login import login_flow

from .nextcloud_server.people import Person
from .nextcloud_server.sharing_server import SharingServer
from .watched_processes import wait_until

TOKEN = "of-the-test"
Files = list[dict[str, Any]]


class _InAThread(ServerApp):
    def init_signal(self) -> None:
        """Only the main thread may handle signals."""


class Lab:
    """A client of the lab's server."""

    def __init__(self, url: str, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.url = f"{url}/gozen/share/"
        self._client = httpx.Client(headers={"Authorization": f"token {TOKEN}"}, timeout=60)

    def ask(self, method: str, where: str, content: object = None, **params: Any) -> dict[str, Any]:
        """Return the answer to a request that succeeds."""
        answer = self._client.request(method, self.url + where, json=content, params=params)
        assert answer.status_code == 200, answer.text
        assert answer.headers["Cache-Control"] == "no-store"
        found: dict[str, Any] = answer.json()
        return found

    def refused(self, method: str, where: str, content: object = None, **params: Any) -> str:
        """Return the name and the message of an error."""
        answer = self._client.request(method, self.url + where, json=content, params=params)
        assert answer.status_code == 400, answer.text
        return f"{answer.json()['error']}: {answer.json()['message']}"

    def in_a_thread(self, act: Callable[[], str]) -> str:
        """Return what a function returns that another part of the lab's server runs in a thread."""
        return asyncio.run_coroutine_threadsafe(asyncio.to_thread(act), self._loop).result(5)

    def seen(self, *paths: str) -> Files:
        """Return who sees files."""
        files: Files = self.ask("POST", "shares/seen", {"paths": paths})["files"]
        return files

    def sent(self, *paths: str, overwrite: bool = False) -> dict[str, Any]:
        """Send files, and return the state at the end."""
        name = self.ask("POST", "uploads", {"paths": paths, "overwrite": overwrite})["id"]
        wait_until(lambda: self.ask("GET", f"uploads/{name}")["state"] != "running")
        return self.ask("GET", f"uploads/{name}")


@contextmanager
def running(root: Path) -> Iterator[Lab]:
    """Run the lab's server with a folder, and yield a client."""
    port, ready, over = free_port(), threading.Event(), []

    async def serve() -> None:
        extensions = {"gozen.sharing.lab": True}
        app = _InAThread(allow_root=True, root_dir=str(root), jpserver_extensions=extensions)
        app.config.IdentityProvider.token = TOKEN
        app.initialize([], find_extensions=False, new_httpserver=False)
        server = HTTPServer(app.web_app)
        server.listen(port, "127.0.0.1")
        end = asyncio.Event()
        over.append((asyncio.get_running_loop(), end))
        ready.set()
        await end.wait()
        server.stop()
        await server.close_all_connections()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    assert ready.wait(60)
    loop, end = over[0]
    yield Lab(f"http://127.0.0.1:{port}", loop)
    loop.call_soon_threadsafe(end.set)
    thread.join()


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home").resolve()


@pytest.fixture(scope="module")
def lab(root: Path) -> Iterator[Lab]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
            patch.setenv(name, str(root / ".jupyter"))
        with running(root) as found:
            yield found


def nothing_runs() -> bool:
    """Tell whether all log-ins and transfers of the lab have ended."""
    return not {"log-in", "upload"} & {one.name for one in threading.enumerate()}


@pytest.fixture
def cloud(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SharingServer]:
    """Return a server at which nobody has logged in, with the environment of a machine without a keyring.

    It ends after the threads of the test: a later one would ask the server of the next test.
    """
    persons = [Person("hoshi", "of-hoshi"), Person("sora", "of-sora", name="Sora Aoki", groups=("sky",))]
    monkeypatch.setenv("HOME", str(root))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("GOZEN_SHARING__STATE", str(tmp_path / "state"))
    monkeypatch.setenv("GOZEN_SHARING__PATIENCE_S", "0")
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
    for name in ("GOZEN_NEXTCLOUD_ACCOUNTS_URL", "JUPYTERHUB_API_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(login_flow, "POLL_S", 0.05)
    with SharingServer(tmp_path / "server", persons) as found:
        yield found
        wait_until(nothing_runs)


@pytest.fixture
def account(cloud: SharingServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Log in by the settings of the environment."""
    found = cloud.account()
    monkeypatch.setenv("GOZEN_SHARING__URL", found.url)
    monkeypatch.setenv("GOZEN_SHARING__USER", found.user)
    monkeypatch.setenv("GOZEN_NEXTCLOUD_PASSWORD", found.password)


@pytest.fixture
def plot(root: Path, request: pytest.FixtureRequest) -> str:
    """Return the path of a file in the file browser, which no other test uses."""
    name = f"{request.node.name[:40]}/plot.png"
    (root / name).parent.mkdir()
    (root / name).write_bytes(b"a picture")
    return name


def test_log_in_with_the_browser_and_log_out(lab: Lab, cloud: SharingServer, plot: str) -> None:
    assert lab.ask("GET", "account") == {"account": None, "url": ""}
    assert "LogInRefused: you are not logged in" in lab.refused("POST", "shares/seen", {"paths": [plot]})
    begun = lab.ask("POST", "login", {"url": cloud.url})
    assert begun["state"] == "waiting"
    assert lab.ask("GET", "login") == begun
    assert cloud.login.agree(begun["page"], "hoshi", "of-hoshi", cloud.url)
    wait_until(lambda: lab.ask("GET", "login")["state"] == "done")
    assert lab.ask("GET", "account")["account"] == {"url": cloud.url, "user": "hoshi"}
    assert len(cloud.person("hoshi").app_passwords) == 2
    lab.ask("DELETE", "account")
    assert len(cloud.person("hoshi").app_passwords) == 1


def test_log_in_again_after_the_app_password_was_revoked_in_nextcloud(
    lab: Lab, cloud: SharingServer, plot: str
) -> None:
    def logged_in() -> None:
        page = lab.ask("POST", "login", {"url": cloud.url})["page"]
        assert cloud.login.agree(page, "hoshi", "of-hoshi", cloud.url)
        wait_until(lambda: lab.ask("GET", "login")["state"] == "done")

    logged_in()
    cloud.person("hoshi").app_passwords.clear()
    assert "LogInRefused" in lab.refused("POST", "shares/seen", {"paths": [plot]})
    logged_in()
    assert lab.seen(plot)[0]["shares"] == []
    lab.ask("DELETE", "account")


def test_a_log_in_that_is_given_up_makes_no_app_password(lab: Lab, cloud: SharingServer) -> None:
    page = lab.ask("POST", "login", {"url": cloud.url})["page"]
    lab.ask("DELETE", "login")
    assert lab.ask("GET", "login")["state"] == "stopped"
    wait_until(nothing_runs)
    assert cloud.login.agree(page, "hoshi", "of-hoshi", cloud.url)
    assert lab.ask("GET", "account")["account"] is None
    failed = lab.ask("POST", "login", {"url": f"{cloud.url}/elsewhere"})
    assert (failed["state"], "is not served" in failed["message"] or "Nextcloud" in failed["message"]) == (
        "failed",
        True,
    )


@pytest.mark.usefixtures("account")
def test_send_share_link_and_withdraw(lab: Lab, cloud: SharingServer, plot: str) -> None:
    (seen,) = lab.seen(plot)
    assert (seen["cloud"], seen["known"], seen["shown"], seen["shares"]) == (f"Gozen/{plot}", False, False, [])
    assert lab.sent(plot) == {"state": "done", "found": 9, "moved": 9, "files": 1, "conflicts": []}
    assert cloud.state.file("hoshi", f"Gozen/{plot}").read_bytes() == b"a picture"
    lab.ask("POST", "shares", {"paths": [plot], "users": ["sora"], "groups": ["sky"], "write": True})
    (seen,) = lab.seen(plot)
    rows = {
        one["who"]: (one["kind"], one["name"], one["write"], one["reshare"], one["above"]) for one in seen["shares"]
    }
    assert rows == {"sora": ("user", "Sora Aoki", True, False, ""), "sky": ("group", "sky", True, False, "")}
    (link,) = lab.ask("POST", "links", {"paths": [plot], "password": True, "expires": "30d", "label": "talk"})["links"]
    assert len(link["password"]) == 20
    assert link["qr"].startswith("data:image/svg+xml")
    (seen,) = lab.seen(plot)
    assert [one["label"] for one in seen["shares"] if one["url"] == link["url"]] == ["talk"]
    for one in seen["shares"]:
        lab.ask("DELETE", "shares", {"id": one["id"]})
    assert lab.seen(plot)[0]["shares"] == []
    assert "CloudPathNotFound: cannot withdraw the share 77" in lab.refused("DELETE", "shares", {"id": "77"})


@pytest.mark.usefixtures("account")
def test_as_many_files_as_one_may_select_are_seen(lab: Lab, root: Path, plot: str) -> None:
    folder = plot.partition("/")[0]
    names = [
        f"{folder}/{number} {'長い名前の観測結果' * 9}.csv" for number in range(100)
    ]  # an address would be too long
    for name in names:
        (root / name).write_text("")
    assert [one["path"] for one in lab.seen(*names)] == names


@pytest.mark.usefixtures("account")
def test_a_share_of_the_folder_is_seen_at_its_files(lab: Lab, cloud: SharingServer, plot: str) -> None:
    folder = plot.partition("/")[0]
    assert lab.sent(folder)["state"] == "done"
    lab.ask("POST", "shares", {"paths": [folder], "users": ["sora"]})
    (share,) = lab.seen(plot)[0]["shares"]
    assert share["above"] == f"Gozen/{folder}"


@pytest.mark.usefixtures("account")
def test_of_a_folder_only_what_the_file_browser_shows_is_sent(
    lab: Lab, cloud: SharingServer, root: Path, plot: str, tmp_path: Path
) -> None:
    folder = root / plot.partition("/")[0]
    (tmp_path / "id_ed25519").write_text("a key")
    for name in (".env", ".git/config", "sub/.ipynb_checkpoints/a.ipynb", "sub/a.ipynb"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("content")
    for name, target in (("out", tmp_path / "id_ed25519"), ("to-hidden", folder / ".env"), ("inside", folder / "sub")):
        (folder / name).symlink_to(target)
    (folder / "same").symlink_to(folder / "sub" / "a.ipynb")
    assert lab.sent(folder.name)["state"] == "done"
    sent = cloud.state.file("hoshi", f"Gozen/{folder.name}")
    files = {one.relative_to(sent).as_posix() for one in sent.rglob("*") if one.is_file()}
    assert files == {"plot.png", "sub/a.ipynb", "same"}
    assert not (sent / ".git").exists()


@pytest.mark.usefixtures("account")
def test_a_file_that_changed_in_nextcloud_is_replaced_only_if_the_user_says_so(
    lab: Lab, cloud: SharingServer, root: Path, plot: str
) -> None:
    cloud.put("hoshi", f"Gozen/{plot}", b"another picture")
    state = lab.sent(plot)
    assert (state["state"], state["error"]) == ("failed", "CloudConflict")
    assert "it is another file with this name" in state["message"]
    assert lab.sent(plot, overwrite=True)["state"] == "done"
    assert cloud.state.file("hoshi", f"Gozen/{plot}").read_bytes() == b"a picture"


@pytest.mark.usefixtures("account")
def test_all_files_that_would_be_replaced_are_named(lab: Lab, cloud: SharingServer, root: Path, plot: str) -> None:
    folder = plot.partition("/")[0]
    (root / folder / "sub").mkdir()
    for name in ("sub/a.csv", "b.csv", "draft."):
        (root / folder / name).write_text("here")
    for name in ("sub/a.csv", "b.csv"):
        cloud.put("hoshi", f"Gozen/{folder}/{name}", b"there")
    state = lab.sent(folder)
    assert (state["state"], state["conflicts"]) == ("failed", [f"{folder}/b.csv", f"{folder}/sub/a.csv"])
    assert lab.sent(f"{folder}/b.csv", f"{folder}/sub/a.csv")["conflicts"] == state["conflicts"]
    assert lab.sent(folder, overwrite=True)["conflicts"] == []


@pytest.mark.usefixtures("account")
def test_the_users_of_a_lab_get_the_words_of_the_server(lab: Lab, cloud: SharingServer, plot: str) -> None:
    lab.sent(plot)
    said = lab.refused("POST", "shares", {"paths": [plot], "users": ["soar"]})
    assert said.startswith("CloudPathNotFound: cannot share")
    assert "did you mean sora?" in said
    assert "BadRequest: name at least one user" in lab.refused("POST", "shares", {"paths": [plot]})
    cloud.rules.links = False
    assert "public links are switched off" in lab.refused("POST", "links", {"paths": [plot]})
    assert "neither a day" in lab.refused("POST", "links", {"paths": [plot], "expires": "soon"})


@pytest.mark.usefixtures("account")
def test_links_that_were_made_are_shown_if_a_later_one_fails(
    lab: Lab, cloud: SharingServer, root: Path, plot: str
) -> None:
    (root / plot).with_name("second.png").write_bytes(b"a picture that is not sent")
    lab.sent(plot)
    second = plot.replace("plot.png", "second.png")
    found = lab.ask("POST", "links", {"paths": [second, plot], "password": True})
    assert [(one["path"], len(one["password"])) for one in found["links"]] == [(f"Gozen/{plot}", 20)]
    assert found["message"].startswith(f"cannot share Gozen/{second}")
    assert found["message"].endswith("(1 of 2 links was not made)")
    assert "CloudPathNotFound" in lab.refused("POST", "links", {"paths": [second]})


@pytest.mark.usefixtures("account")
def test_a_nextcloud_that_is_silent_holds_up_no_other_request_of_the_lab(
    lab: Lab, cloud: SharingServer, plot: str
) -> None:
    name = lab.ask("POST", "uploads", {"paths": [plot]})["id"]
    held, arrived = threading.Event(), threading.Semaphore(0)
    real = next(app for prefix, app in cloud.routes if prefix == "/ocs/")

    def silent(environ: Any, start: Any) -> Any:
        arrived.release()
        held.wait(10)
        return real(environ, start)

    cloud.routes.insert(0, ("/ocs/", silent))
    with ThreadPoolExecutor(10) as threads:
        asking = [threads.submit(lab.seen, plot) for _ in range(10)]
        try:
            for _ in range(4):
                assert arrived.acquire(timeout=10)
            assert lab.in_a_thread(lambda: "done") == "done"
            assert lab.ask("GET", f"uploads/{name}")["files"] <= 1
            assert "state" in lab.ask("GET", "login")
            assert not held.is_set()
        finally:
            held.set()
    assert {one.result()[0]["path"] for one in asking} == {plot}
    wait_until(lambda: lab.ask("GET", f"uploads/{name}")["state"] == "done")


@pytest.mark.usefixtures("account")
def test_a_transfer_is_ended_by_the_user(lab: Lab, cloud: SharingServer, root: Path, plot: str) -> None:
    with (root / plot).open("wb") as file:
        file.truncate(200_000_000)
    held = threading.Event()
    cloud.state.quota.clear()
    real = cloud._answer_dav

    def slow(environ: Any, start: Any) -> Any:
        held.wait(30)
        return real(environ, start)

    cloud.routes.insert(0, ("/remote.php/dav/uploads", slow))
    name = lab.ask("POST", "uploads", {"paths": [plot]})["id"]
    assert lab.ask("POST", "uploads", {"paths": [plot]})["id"] == name  # from a second dialog, or a reloaded page
    wait_until(lambda: lab.ask("GET", f"uploads/{name}")["found"] == 200_000_000)
    lab.ask("DELETE", f"uploads/{name}")
    after = lab.ask("POST", "uploads", {"paths": [plot], "overwrite": True})["id"]
    again = lab.ask("POST", "uploads", {"paths": [plot]})["id"]
    assert len({name, after, again}) == 3
    for one in (after, again):
        lab.ask("DELETE", f"uploads/{one}")
    held.set()
    names = (name, after, again)
    wait_until(lambda: {lab.ask("GET", f"uploads/{one}")["state"] for one in names} == {"stopped"})
    assert not cloud.state.file("hoshi", f"Gozen/{plot}").exists()
    assert "does not know the transfer" in lab.refused("GET", f"uploads/{'0' * 16}")


@pytest.mark.usefixtures("account")
def test_a_home_that_nextcloud_shows_is_shared_without_a_transfer(
    lab: Lab, cloud: SharingServer, root: Path, plot: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOZEN_SHARING__HOME_FOLDER", "Lab")
    storage = cloud.state.show("hoshi", "Lab", root, checks=False)
    (seen,) = lab.seen(plot)
    assert (seen["cloud"], seen["shown"], seen["known"]) == (f"Lab/{plot}", True, False)
    assert "does not know this file of your home yet" in seen["message"]
    assert lab.sent(plot) == {"state": "done", "found": 0, "moved": 0, "files": 0, "conflicts": []}
    storage.scan()
    lab.ask("POST", "shares", {"paths": [plot], "users": ["sora"]})
    (seen,) = lab.seen(plot)
    assert [one["who"] for one in seen["shares"]] == ["sora"]


def test_only_the_user_of_the_lab_may_ask_and_other_pages_may_not(lab: Lab, cloud: SharingServer) -> None:
    address = f"{lab.url}login"
    assert httpx.post(address, json={"url": cloud.url}).status_code == 403
    assert httpx.get(f"{lab.url}account").status_code == 403
    with httpx.Client(follow_redirects=True) as browser:
        browser.get(lab.url.replace("gozen/share/", f"login?token={TOKEN}"))
        logged_in = browser.get(f"{lab.url}account")
        assert logged_in.status_code == 200
        crossed = browser.post(address, json={"url": cloud.url}, headers={"Origin": "https://evil.example.org"})
        assert crossed.status_code == 404  # Jupyter's answer to pages of other sites
        assert browser.post(address, json={"url": cloud.url}).status_code == 403
        assert cloud.login.flows == []
        xsrf = {"X-XSRFToken": browser.cookies["_xsrf"]}
        assert browser.post(address, json={"url": cloud.url}, headers=xsrf).status_code == 200
        browser.request("DELETE", address, headers=xsrf)


@pytest.mark.usefixtures("account")
@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("", "the top folder of the file browser cannot be shared"),
        ("../../etc/passwd", "is not a path of the file browser"),
        ("a/../../b", "is not a path of the file browser"),
        ("/etc/passwd", "does not exist"),
        (".ssh/id_ed25519", "is hidden"),
        ("out/passwd", "is a link that leads out of the folder"),
        ("missing.png", "does not exist"),
    ],
)
def test_only_files_of_the_file_browser_are_shared(lab: Lab, root: Path, path: str, said: str) -> None:
    link = root / "out"
    if not link.is_symlink():
        link.symlink_to("/etc")
    for method, address, content in (
        ("POST", "uploads", {"paths": [path]}),
        ("POST", "shares", {"paths": [path], "users": ["sora"]}),
        ("POST", "links", {"paths": [path]}),
        ("POST", "shares/seen", {"paths": [path]}),
    ):
        assert said in lab.refused(method, address, content)


@pytest.mark.parametrize(
    ("method", "path", "content"),
    [
        ("POST", "shares", {"paths": []}),
        ("POST", "shares", {"paths": ["a"], "rights": 31}),
        ("POST", "links", ["a"]),
        ("POST", "login", {}),
        ("DELETE", "shares", {"id": "../../users"}),
    ],
)
@pytest.mark.usefixtures("cloud")
def test_requests_that_make_no_sense_are_refused(lab: Lab, method: str, path: str, content: object) -> None:
    assert "BadRequest: the lab's server does not understand this request" in lab.refused(method, path, content)
