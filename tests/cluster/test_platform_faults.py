"""Faults that two users of the platform meet on a real node, and the state afterwards.

Covered: an exhausted quota (lab, workers), a missing image, no node for a lab, a full home folder, memory exhausted by
a worker and by a kernel, a user who is deleted while logged in. The release is that of test_platform.py, whose last
test has ended all labs. Not covered: the end of a start that takes too long, and a second node (test_lab_starts.py); a
killed kubelet (test_platform_outages.py).
"""

from __future__ import annotations

from contextlib import ExitStack, suppress
from urllib.error import HTTPError

import pytest
from playwright.sync_api import Browser, Page
from tests.services.hub_client import called, status, wait_for_end

from .machine import run
from .platform_faults import full_home, home_of, used_quota, without_image, without_node
from .platform_images import IMAGE
from .platform_people import MAPREDUCE, TOUCH, Kernel, left_of, workers_of
from .platform_release import Platform
from .platform_values import ADMIN
from .processes import wait_until

pytestmark = [pytest.mark.node, pytest.mark.xdist_group("node"), pytest.mark.timeout(900)]
WAIT_MS = 60_000


def in_lab(platform: Platform, name: str, program: str, seconds: float = 240) -> list[str]:
    """Return the lines that a program in a lab prints."""
    try:
        return platform.in_lab(name, program, seconds=seconds).splitlines()
    except AssertionError as error:
        raise AssertionError(f"{error}\n{platform.told_of(name)}") from error


ONE = """
with quickdb.connect(workers=1) as api:
    print(bytes(api.mapreduce(moments, add, cache=False)).hex())
"""
FEWER = """
import time

with quickdb.connect(workers=2) as api:
    print(bytes(api.mapreduce(moments, add, cache=False)).hex())
    end = time.monotonic() + 60
    while "quota" not in (text := " ".join(api.workers()["note"])) and time.monotonic() < end:
        time.sleep(0.5)
    print(text)
"""


def test_with_a_quota_for_one_worker_a_job_runs_on_one_and_the_table_says_why(
    gozen_platform: Platform, tokens: dict[str, str], answer: str
) -> None:
    assert in_lab(gozen_platform, "hoshi", MAPREDUCE + ONE) == [answer]
    with used_quota(gozen_platform, "hoshi", "3500m"):
        found, note = in_lab(gozen_platform, "hoshi", MAPREDUCE + FEWER)
        assert len(workers_of(gozen_platform, "hoshi")) == 1
    assert found == answer
    assert "1 worker: your quota is used up (used: limits.cpu=7500m; at most: limits.cpu=8)" in note
    assert "use fewer workers with api.workers(n)" in note


ENDLESS = """
import time


def endless(patch):
    kept = []
    while True:
        kept.append(np.ones(2 * 10**6))
        time.sleep(0.05)


with quickdb.connect(workers=1) as api:
    try:
        api.mapreduce(endless, add, cache=False)
    except Exception as error:
        print(type(error).__name__, str(error).replace(chr(10), " "))
    print(bytes(api.mapreduce(moments, add, cache=False)).hex())
"""


def test_a_function_that_uses_up_the_memory_of_its_worker_is_told_so_and_the_next_one_runs(
    gozen_platform: Platform, tokens: dict[str, str], answer: str
) -> None:
    said, found = in_lab(gozen_platform, "hoshi", MAPREDUCE + ENDLESS)
    assert said.startswith("WorkerLost ")
    # Dask has ended the function, or the kernel has ended the worker before.
    assert "the memory of the workers was used up" in said or "its memory" in said
    assert "read fewer columns" in said
    assert found == answer


def test_a_kernel_that_uses_up_the_memory_of_its_lab_comes_back_and_says_why(
    gozen_platform: Platform, tokens: dict[str, str]
) -> None:
    uid = gozen_platform.lab("hoshi")["metadata"]["uid"]
    kernel = Kernel(gozen_platform, "hoshi", tokens["hoshi"])
    assert "42" in kernel.says("open('before.txt', 'w').write('kept'); print(6 * 7)")
    # Not zeros: pages of zeros take no memory until they are written.
    kernel.says("kept = []\nwhile True:\n    kept.append(b'a' * 10**8)")
    text = kernel.again(seconds=120)
    assert "memory" in text
    assert "or choose a larger size of lab" in text
    assert "memory" not in kernel.says("print('and says it once')")
    assert gozen_platform.lab("hoshi")["metadata"]["uid"] == uid
    assert "kept" in kernel.says("print(open('before.txt').read())")


@pytest.fixture(scope="module")
def ended(gozen_platform: Platform, tokens: dict[str, str]) -> None:
    """Let sora have no lab."""
    called(f"{gozen_platform.url}/hub/api/users/sora/server", tokens["sora"], "DELETE")
    wait_for_end(gozen_platform, "sora", tokens["sora"], 90)


def test_a_start_for_which_the_quota_is_used_up_says_so_at_once(
    gozen_platform: Platform, pages: dict[str, Page], ended: None
) -> None:
    page = pages["sora"]
    with used_quota(gozen_platform, "sora", "7"):
        page.goto(f"{gozen_platform.url}/hub/spawn")
        page.wait_for_selector("text=The lab did not start", timeout=WAIT_MS)
        text = page.inner_text("body")
        assert "your quota is used up (needed: limits.cpu=2" in text
        assert "used: limits.cpu=7" in text
        assert left_of(gozen_platform, "sora") == ["pod/filler"]


def test_a_lab_whose_image_is_gone_says_so_and_its_user_can_end_it(
    gozen_platform: Platform, pages: dict[str, Page], ended: None
) -> None:
    page = pages["sora"]
    with without_image(gozen_platform.node, IMAGE):
        page.goto(f"{gozen_platform.url}/hub/spawn")
        said = rf"The lab waits: the image \S+{IMAGE.rpartition('/')[2]} cannot be fetched .+; ask your administrator"
        page.wait_for_selector(f"#progress-message >> text=/{said}/", timeout=WAIT_MS)
        page.click("#stop-server-btn")
        page.wait_for_selector("text=The lab is not running", timeout=WAIT_MS)
        wait_until(lambda: left_of(gozen_platform, "sora") == [], "the end of the pod", 60)


def test_a_lab_without_a_node_waits_and_then_starts_in_a_home_that_is_full(
    gozen_platform: Platform, pages: dict[str, Page], tokens: dict[str, str], ended: None
) -> None:
    page, lab = pages["sora"], f"{gozen_platform.user_url('sora')}/api"
    with ExitStack() as faults:
        home = faults.enter_context(full_home(gozen_platform, "sora"))
        with without_node(gozen_platform.node):
            page.goto(f"{gozen_platform.url}/hub/spawn")
            said = "The lab waits: no node has room (0/1 nodes are available: 1 node(s) were unschedulable"
            page.wait_for_selector(f"#progress-message >> text={said}", timeout=WAIT_MS)
        wait_until(lambda: status(f"{lab}/contents", tokens["sora"]) == 200, "the lab in a full home", 180)
        kernel = Kernel(gozen_platform, "sora", tokens["sora"])
        assert "42" in kernel.says("print(6 * 7)")
        write = "with open('new.txt', 'w') as file:\n    file.write('a' * 5000)\nprint('written')"
        assert "written" not in kernel.says(write)
        called(f"{lab}/contents/big", tokens["sora"], "DELETE")
        assert "written" in kernel.says(write)
        run(gozen_platform.node.machine.command(["test", "-s", f"{home}/new.txt"]))
        called(f"{gozen_platform.url}/hub/api/users/sora/server", tokens["sora"], "DELETE")
        wait_for_end(gozen_platform, "sora", tokens["sora"], 90)


def test_after_the_deletion_of_a_user_the_lab_and_the_log_in_end_and_the_home_stays(
    gozen_platform: Platform, browser: Browser, pages: dict[str, Page], tokens: dict[str, str]
) -> None:
    page, admin = pages["hoshi"], browser.new_context(locale="en-GB").new_page()
    gozen_platform.in_lab("hoshi", TOUCH)
    home = gozen_platform.data_of("hoshi", "get", "pvc/home", "--output=json")["metadata"]["uid"]
    gozen_platform.log_in(admin, ADMIN, gozen_platform.admin_password)
    admin.wait_for_url("**/services/portal/**", timeout=WAIT_MS)
    token, user = gozen_platform.token_of(admin), f"{gozen_platform.url}/hub/api/users/hoshi"
    assert workers_of(gozen_platform, "hoshi")
    # While the lab ends the hub answers that the administrator must wait.
    wait_until(lambda: status(user, token, "DELETE") in (204, 404), "the deletion of hoshi", 120)
    try:
        wait_until(lambda: left_of(gozen_platform, "hoshi") == [], "the end of lab and workers", 240)
        assert gozen_platform.data_of("hoshi", "get", "pvc/home", "--output=json")["metadata"]["uid"] == home
        run(gozen_platform.node.machine.command(["test", "-s", f"{home_of(gozen_platform, 'hoshi')}/mine.txt"]))
        assert status(f"{gozen_platform.url}/hub/api/user", tokens["hoshi"]) == 403
        page.goto(f"{gozen_platform.url}/hub/home")
        page.wait_for_selector("text=Log in to Gozen", timeout=WAIT_MS)
        gozen_platform.log_in(page, "hoshi")
        page.wait_for_selector("text=Invalid username or password", timeout=WAIT_MS)
    finally:
        with suppress(HTTPError):  # the user is still there
            called(user, token, "POST", {})
        admin.context.close()
    gozen_platform.log_in(page, "hoshi")
    page.wait_for_url("**/services/portal/**", timeout=WAIT_MS)
