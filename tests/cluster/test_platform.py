"""The science platform on a real node, in a real browser: two users, their labs, and what each cannot reach.

Network policies are enforced. Rights of accounts are in test_chart.py and test_user_namespaces.py, the pages in
tests/services, a hub without Kubernetes in tests/services/test_hub.py.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page
from tests.effort import EVERYTHING
from tests.services.hub_client import answers, called, run_all, status, wait_for_end
from tests.services.notebook_runs import kernel, pictures, run, texts
from tests.services.s3_server import SECRET

from .developer_platform import DeveloperPlatform
from .guarded import LOOKS, METADATA, OUTSIDE
from .platform_people import MAPREDUCE, address_of, left_of, notebook_in_lab, workers_of
from .platform_release import Platform
from .processes import wait_until
from .tools import tool

pytestmark = [pytest.mark.node, pytest.mark.xdist_group("node"), pytest.mark.timeout(900)]
NOTEBOOKS = ("colour-colour", "light-curve", "pairs", "variable-stars")


def test_what_make_platform_prints_is_enough_to_observe(for_developers: DeveloperPlatform) -> None:
    text = for_developers.text.format(kubeconfig=for_developers.kubeconfig, programs=tool("kubectl").parent, logs="")
    assert f"  {for_developers.release.url}\n" in text
    assert f"log in as hoshi or sora with the password {for_developers.release.password}\n" in text
    (apply,) = re.findall(r"^  kubectl (apply .*)$", text, re.MULTILINE)
    environment = {**os.environ, "KUBECONFIG": str(for_developers.kubeconfig)}
    wait = ["wait", "obs/orion", "--for=condition=Executed", "--timeout=300s"]
    for words in (apply.split(), wait, ["delete", "obs/orion"]):
        done = subprocess.run([tool("kubectl"), *words], env=environment, capture_output=True, text=True, timeout=320)
        assert done.returncode == 0, done.stderr


def test_a_user_runs_the_first_notebook_on_the_archive(
    gozen_platform: Platform, pages: dict[str, Page], tokens: dict[str, str]
) -> None:
    page = pages["hoshi"]
    gozen_platform.open_notebook(page, "light-curve.ipynb")
    run_all(page)


def test_the_first_page_shows_members_the_live_tables(gozen_platform: Platform, browser: Browser) -> None:
    """The portal's pod has the setting `access` of the release, in which all users are members."""
    page = browser.new_context(locale="en-GB").new_page()
    gozen_platform.log_in(page, "hoshi")
    page.wait_for_url("**/services/portal/**", timeout=60_000)
    page.get_by_role("heading", name="Live tables").wait_for(timeout=30_000)
    assert page.locator(".caution").count() == 0
    page.context.close()


def test_a_lab_is_a_restricted_pod_without_a_token(gozen_platform: Platform, tokens: dict[str, str]) -> None:
    spec = gozen_platform.lab("hoshi")["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert all("serviceAccountToken" not in json.dumps(volume) for volume in spec["volumes"])
    found = gozen_platform.in_lab("hoshi", "import os; print(os.getuid(), os.path.exists('/var/run/secrets'))")
    assert found.split() == ["10001", "False"]


def test_a_lab_reaches_what_it_needs_and_nothing_else(gozen_platform: Platform, tokens: dict[str, str]) -> None:
    node, own, other = gozen_platform.node, gozen_platform.lab("hoshi"), gozen_platform.lab("sora")
    store = int(gozen_platform.store.endpoint.rpartition(":")[2])
    targets = [
        ("names", "tcp", "10.96.0.10", 53),
        ("store", "tcp", node.host_address, store),
        ("hub", "tcp", address_of(gozen_platform, "hub"), 8081),
        ("own lab", "tcp", own["status"]["podIP"], 8888),
        ("another lab", "tcp", other["status"]["podIP"], 8888),
        ("proxy", "tcp", address_of(gozen_platform, "proxy"), 8000),
        ("orders of the proxy", "tcp", address_of(gozen_platform, "proxy"), 8001),
        ("service for namespaces", "tcp", address_of(gozen_platform, "namespaces"), 8080),
        ("portal", "tcp", address_of(gozen_platform, "portal"), 8080),
        ("API server", "tcp", "10.96.0.1", 443),
        ("API server on the node", "tcp", node.address, 6443),
        ("kubelet", "tcp", node.address, 10250),
        ("metadata", "tcp", METADATA, 80),
        ("outside", "tcp", OUTSIDE, 443),
    ]
    found = set(json.loads(gozen_platform.in_lab("hoshi", LOOKS, json.dumps(targets))))
    assert found == {"names", "store", "hub", "own lab"}


RUN = """
with quickdb.connect(workers=2) as api:
    bits = bytes(api.mapreduce(moments, add, cache=False)).hex()
    api.workers(2)
    print(bits, len(api.workers()))
"""


def test_functions_run_on_the_users_own_workers_and_give_the_answer_of_a_laptop(
    gozen_platform: Platform, tokens: dict[str, str], answer: str
) -> None:
    try:
        found, pods = gozen_platform.in_lab("hoshi", f"{MAPREDUCE}{RUN}", seconds=300).split()
    except AssertionError as error:
        raise AssertionError(f"{error}\n{gozen_platform.told_of('hoshi')}") from error
    assert found == answer
    assert int(pods) >= 2
    assert len(workers_of(gozen_platform, "hoshi")) == 2
    assert workers_of(gozen_platform, "sora") == []


@pytest.mark.parametrize("name", NOTEBOOKS if EVERYTHING else NOTEBOOKS[:1])
def test_a_notebook_says_the_same_on_the_users_own_workers_as_on_a_laptop(
    gozen_platform: Platform, tokens: dict[str, str], name: str, sky: Path, tmp_path: Path
) -> None:
    """Not here: your-own-table, which writes a table; in a lab the archive is only read."""
    with kernel(sky, tmp_path) as manager:
        here = run(name, manager)
    there = notebook_in_lab(gozen_platform, "hoshi", name)
    assert texts(there) == texts(here)
    assert pictures(there) == pictures(here)
    assert len(workers_of(gozen_platform, "hoshi")) >= 1


def test_a_worker_reaches_the_archive_and_its_scheduler_and_nothing_else(
    gozen_platform: Platform, tokens: dict[str, str]
) -> None:
    node, lab = gozen_platform.node, gozen_platform.lab("sora")
    worker = workers_of(gozen_platform, "hoshi")[0]
    (scheduler,) = workers_of(gozen_platform, "hoshi", "scheduler")
    store = int(gozen_platform.store.endpoint.rpartition(":")[2])
    programs = {
        name: address_of(gozen_platform, name) for name in ("hub", "workers", "dask-controller", "portal", "proxy")
    }
    targets = [
        ("names", "tcp", "10.96.0.10", 53),
        ("store", "tcp", node.host_address, store),
        ("scheduler", "tcp", scheduler["status"]["podIP"], 8786),
        ("another lab", "tcp", lab["status"]["podIP"], 8888),
        ("hub", "tcp", programs["hub"], 8081),
        ("service for workers", "tcp", programs["workers"], 8080),
        ("Dask's controller", "tcp", programs["dask-controller"], 8080),
        ("portal", "tcp", programs["portal"], 8080),
        ("orders of the proxy", "tcp", programs["proxy"], 8001),
        ("API server", "tcp", "10.96.0.1", 443),
        ("kubelet", "tcp", node.address, 10250),
        ("metadata", "tcp", METADATA, 80),
        ("outside", "tcp", OUTSIDE, 443),
    ]
    pod = worker["metadata"]["name"]
    found = set(json.loads(gozen_platform.in_pod("hoshi", pod, LOOKS, json.dumps(targets))))
    assert found == {"names", "store", "scheduler"}
    closed = [
        ("scheduler of another user", "tcp", scheduler["status"]["podIP"], 8786),
        ("its pages", "tcp", scheduler["status"]["podIP"], 8787),
        ("worker of another user", "tcp", worker["status"]["podIP"], 8788),
    ]
    assert json.loads(gozen_platform.in_lab("sora", LOOKS, json.dumps(closed))) == []


def test_keys_of_the_archive_reach_labs_and_workers_as_a_file_alone(
    gozen_platform: Platform, tokens: dict[str, str]
) -> None:
    """That the file works is shown by the notebook and the job on workers, which have read the archive with it."""
    workers = workers_of(gozen_platform, "hoshi")
    assert len(workers) == 2
    for pod in (gozen_platform.lab("hoshi"), *workers):
        told = json.dumps(pod["spec"]["containers"][0]["env"])
        assert SECRET not in told
        assert "AWS_SHARED_CREDENTIALS_FILE" in told
    for pod in workers_of(gozen_platform, "hoshi", "scheduler"):
        assert all("secret" not in volume for volume in pod["spec"]["volumes"])


def test_workers_and_schedulers_have_no_token(gozen_platform: Platform, tokens: dict[str, str]) -> None:
    pods = (*workers_of(gozen_platform, "hoshi"), *workers_of(gozen_platform, "hoshi", "scheduler"))
    assert len(pods) == 3
    for pod in pods:
        told = {one["name"] for one in pod["spec"]["containers"][0]["env"]}
        assert not {name for name in told if name.startswith(("JUPYTERHUB", "JPY"))}
        assert pod["spec"]["automountServiceAccountToken"] is False


def test_a_token_opens_nothing_of_another_user(gozen_platform: Platform, tokens: dict[str, str]) -> None:
    url = gozen_platform.url
    assert status(f"{gozen_platform.user_url('hoshi')}/api/contents", tokens["hoshi"]) == 200
    assert status(f"{gozen_platform.user_url('hoshi')}/api/contents", tokens["sora"]) == 403
    assert status(f"{url}/hub/api/users/hoshi", tokens["sora"]) == 404
    assert status(f"{url}/hub/api/users", tokens["sora"]) == 403
    assert status(f"{url}/hub/api/user", "f" * 32) == 403


def test_a_user_has_a_quota_and_a_home(gozen_platform: Platform, tokens: dict[str, str]) -> None:
    words = ("get", "resourcequota/user", "networkpolicy/deny", "limitrange/user", "pvc/home", "--output=name")
    assert len(gozen_platform.of_user("hoshi", *words, check=True).stdout.split()) == 4
    refused = gozen_platform.of_user("hoshi", "create", "-f", "-", stdin=json.dumps(PRIVILEGED))
    assert "violates PodSecurity" in refused.stderr


PRIVILEGED = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "privileged"},
    "spec": {"containers": [{"name": "a", "image": "a", "securityContext": {"privileged": True}}]},
}


# While a job runs, the process of a worker or of the scheduler ends at once, as if the system had killed it. Pods of
# workers start again after this: tests that use them come before.
KILLED = """
import os
import threading
import time

from distributed import Client

said = []


def slow(patch):
    time.sleep(5)
    return moments(patch)


def job():
    try:
        said.append(bytes(api.mapreduce(slow, add, cache=False)).hex())
    except Exception as error:
        said.append(type(error).__name__)


with quickdb.connect(workers=2) as api:
    api.workers(2)
    client = Client("tcp://gozen-scheduler:8786")
    client.wait_for_workers(2)
    thread = threading.Thread(target=job)
    thread.start()
    while thread.is_alive() and not any(client.processing().values()):
        time.sleep(0.1)
    busy = next(address for address, tasks in client.processing().items() if tasks)
    before = {busy, client.scheduler_info()["id"]}
    try:
        KILL
    except Exception:
        pass
    thread.join()
    said.append(bytes(api.mapreduce(moments, add, cache=False)).hex())
    with Client("tcp://gozen-scheduler:8786") as again:
        found = again.scheduler_info(n_workers=-1)
    said.append("killed" if before - {found["id"], *found["workers"]} else "alive")
print(*said)
"""


@pytest.mark.parametrize(
    ("kill", "outcomes"),
    [
        ("client.run(os._exit, 1, workers=[busy])", {"right"}),
        ("client.run_on_scheduler(os._exit, 1)", {"right", "WorkerLost"}),
    ],
    ids=["worker", "scheduler"],
)
def test_a_job_outlives_a_worker_and_names_the_loss_of_its_scheduler(
    gozen_platform: Platform, tokens: dict[str, str], kill: str, outcomes: set[str], answer: str
) -> None:
    program = MAPREDUCE + KILLED.replace("KILL", kill, 1)
    try:
        first, second, process = gozen_platform.in_lab("hoshi", program, seconds=300).split()
    except AssertionError as error:
        raise AssertionError(f"{error}\n{gozen_platform.told_of('hoshi')}") from error
    assert ("right" if first == answer else first) in outcomes
    assert (second, process) == (answer, "killed")


def test_labs_outlive_a_crash_of_the_hub(gozen_platform: Platform, tokens: dict[str, str]) -> None:
    uid = gozen_platform.lab("hoshi")["metadata"]["uid"]
    words = ("get", "pods", "--selector=app.kubernetes.io/component=hub", "--output=json")
    (pod,) = json.loads(gozen_platform.kubectl(*words, check=True).stdout)["items"]
    (container,) = pod["status"]["containerStatuses"]
    gozen_platform.node.crash_container(container["containerID"].removeprefix("containerd://"))
    lab = f"{gozen_platform.user_url('hoshi')}/api/contents"
    wait_until(lambda: restarts(gozen_platform) > container["restartCount"], "a restart of the hub", 120)
    wait_until(lambda: answers(f"{gozen_platform.url}/hub/health"), "the hub", 120)
    wait_until(lambda: status(lab, tokens["hoshi"]) == 200, "the lab", 60)
    assert gozen_platform.lab("hoshi")["metadata"]["uid"] == uid


def restarts(platform: Platform) -> int:
    words = ("get", "pods", "--selector=app.kubernetes.io/component=hub", "--output=json")
    (pod,) = json.loads(platform.kubectl(*words, check=True).stdout)["items"]
    return int(pod["status"]["containerStatuses"][0]["restartCount"])


SMUGGLED = {
    "image": "localhost/evil:1",
    "namespace": "kube-system",
    "service_account": "default",
    "environment": {"EVIL": "1"},
    "extra_pod_config": {"hostNetwork": True},
    "volumes": [{"name": "node", "hostPath": {"path": "/"}}],
}
"""What a user may send at the start of a lab, and the hub must not follow."""


def test_files_of_a_home_outlive_the_lab_and_a_request_decides_nothing_about_its_pod(
    gozen_platform: Platform, tokens: dict[str, str]
) -> None:
    before = gozen_platform.lab("sora")["spec"]
    gozen_platform.in_lab("sora", "open('/home/gozen/mine.txt', 'w').write('kept')")
    server = f"{gozen_platform.url}/hub/api/users/sora/server"
    called(server, tokens["sora"], "DELETE")
    wait_for_end(gozen_platform, "sora", tokens["sora"], 90)
    called(server, tokens["sora"], "POST", SMUGGLED)
    lab = f"{gozen_platform.user_url('sora')}/api/contents"
    wait_until(lambda: status(lab, tokens["sora"]) == 200, "the lab of sora", 180)
    assert gozen_platform.in_lab("sora", "print(open('/home/gozen/mine.txt').read())").strip() == "kept"
    after = gozen_platform.lab("sora")["spec"]
    for word in ("serviceAccountName", "hostNetwork", "securityContext", "automountServiceAccountToken"):
        assert after.get(word) == before.get(word), word
    assert [one["name"] for one in after["volumes"]] == [one["name"] for one in before["volumes"]]
    (container,) = after["containers"]
    assert container["image"] == before["containers"][0]["image"]
    assert "EVIL" not in {one["name"] for one in container["env"]}


def test_after_a_loss_of_the_hubs_database_labs_and_workers_end_and_homes_stay(
    gozen_platform: Platform, tokens: dict[str, str]
) -> None:
    """The last test of this module: the tokens of all users end here."""
    gozen_platform.kubectl("delete", "pod", "--selector=app.kubernetes.io/component=hub", check=True, seconds=120)
    wait_until(lambda: answers(f"{gozen_platform.url}/hub/health"), "the hub", 180)
    assert status(f"{gozen_platform.url}/hub/api/user", tokens["hoshi"]) == 403
    for name in ("hoshi", "sora"):
        wait_until(lambda name=name: not left_of(gozen_platform, name), f"the end of the pods of {name}", 240)
        assert gozen_platform.of_user(name, "get", "pvc/home", "--output=name", check=True).stdout.strip()
