"""`publish` of LightCurveJobs at a real API server: Jobs, the condition Published, deletion with and without removal.

Covered: an operator process that publishes, tries again, publishes once more when asked, removes or leaves; that its
pods are allowed where pods are restricted. Pods and the Job controller are played by the test. Not covered: what the
pods do (tests/services/test_share_publish.py), a whole story on a node (test_story.py).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.services.pages import Reader

from .api_server import ApiServer
from .processes import wait_until
from .running_operator import Running, leading, with_namespace
from .test_crds import LIGHTCURVES
from .tools import tool

pytestmark = pytest.mark.xdist_group("api")
NAMESPACE = "published"
PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "publish-light-curves.md"
NOW = "2030-01-01T00:00:00Z"
PATIENCE_S = 30
SECONDS = 120
LINK = "https://cloud.example.org/s/abc"
PUBLISHED = json.dumps({"folder": "M31", "link": LINK, "files": 5, "kept": 0})
DOWN = "gozen: CloudUnavailable: cannot upload M31/a.csv: the server says 503"


@pytest.fixture(scope="module")
def server(api_server: ApiServer) -> ApiServer:
    return with_namespace(api_server, NAMESPACE)


@pytest.fixture(scope="module")
def operator(server: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Run an operator with an account at a Nextcloud; its second attempts come after seconds."""
    settings = {
        "URL": "https://cloud.example.org", "USER": "observatory", "SECRET": "gozen-nextcloud", "RETRY_S": "5",
        "REMOVE_PATIENCE_S": str(PATIENCE_S),
    }  # fmt: skip
    given = {f"GOZEN_OPERATOR_PUBLISH__{name}": value for name, value in settings.items()}
    with leading(server, tmp_path_factory.mktemp("operator"), NAMESPACE, **given) as running:
        yield running


def found(operator: Running, what: str) -> dict[str, Any]:
    """Return an object, empty if it does not exist."""
    done = operator.kubectl("get", what, "-o", "json")
    result: dict[str, Any] = json.loads(done.stdout) if done.returncode == 0 else {}
    return result


def ends(operator: Running, name: str, code: int, message: str) -> dict[str, Any]:
    """Let the pod of a Job end, as kubelet and Job controller report it; return the Job."""
    wait_until(lambda: bool(found(operator, f"job/{name}")), f"the Job {name}", SECONDS)
    job = found(operator, f"job/{name}")
    labels = {"batch.kubernetes.io/controller-uid": job["metadata"]["uid"]}
    container = {"name": "gozen", "image": "none"}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels}}
    secure = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    security = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    spec = {"containers": [{**container, "securityContext": secure}], "securityContext": security}
    operator.kubectl("create", "serviceaccount", "default")
    operator.kubectl("create", "-f", "-", stdin=json.dumps({**pod, "spec": spec}), check=True)
    ended = {"exitCode": code, "message": message, "reason": "Completed" if code == 0 else "Error"}
    state = {"name": "gozen", "image": "none", "imageID": "", "ready": False, "restartCount": 0}
    phase = "Succeeded" if code == 0 else "Failed"
    said = {"phase": phase, "containerStatuses": [{**state, "state": {"terminated": ended}}]}
    write(operator, f"pod/{name}", said)
    kinds = ("SuccessCriteriaMet", "Complete") if code == 0 else ("FailureTarget", "Failed")
    reason = {"reason": "BackoffLimitExceeded"} if code else {}
    times = {"lastTransitionTime": NOW, "lastProbeTime": NOW}
    status: dict[str, Any] = {
        "startTime": NOW,
        "conditions": [{"type": k, "status": "True", **times, **reason} for k in kinds],
    }
    status |= {"succeeded": 1, "completionTime": NOW} if code == 0 else {"failed": 1}
    if job["spec"].get("completionMode") == "Indexed" and code == 0:
        status["completedIndexes"] = "0"
    write(operator, f"job/{name}", status)
    return job


def write(operator: Running, what: str, status: dict[str, Any]) -> None:
    patch = json.dumps({"status": status})
    operator.kubectl("patch", what, "--subresource=status", "--type=merge", "--patch", patch, check=True)


def appended(operator: Running, name: str, **publish: Any) -> None:
    """Apply a LightCurveJob, and let its rows be appended."""
    night = f"203002{len(name):02}"
    operator.apply(
        LIGHTCURVES, name, selection={"night": night}, targetCatalog=name, publish={"folder": "M31", **publish}
    )
    ends(operator, f"{name}-append", 0, '{"exposures": 1, "rows": 7, "manifest": 3}')
    operator.until(f"lcj/{name}", "Succeeded", "Appended")


def test_rows_are_published_after_they_were_appended(operator: Running) -> None:
    appended(operator, "tonight", users=["sora"], link=True)
    assert operator.until("lcj/tonight", "Published", "Publishing") == "Job tonight-pub-1"
    forget = '[{"op": "remove", "path": "/spec/publish"}]'
    refused = operator.kubectl("patch", "lcj/tonight", "--type=json", "--patch", forget)
    assert "publish cannot be removed after the first attempt" in refused.stderr
    job = ends(operator, "tonight-pub-1", 0, PUBLISHED)
    message = operator.until("lcj/tonight", "Published", "Published")
    assert message == f"5 files in the folder M31, link {LINK}"
    status = found(operator, "lcj/tonight")["status"]
    assert status["published"] == {
        "folder": "M31", "link": LINK, "files": 5, "kept": 0, "attempts": 1, "failures": 0, "generation": 1
    }  # fmt: skip
    assert (status["rows"], status["manifest"]) == (7, 3)
    assert operator.condition("lcj/tonight", "Succeeded") == ("True", "Appended", "7 rows")
    assert operator.kubectl("get", "lcj/tonight").stdout.splitlines()[1].split()[-2] == "Published"
    trial = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "trial"}, "spec": job["spec"]["template"]["spec"]}
    operator.kubectl("create", "serviceaccount", "gozen-publish")
    operator.kubectl("create", "priorityclass", "gozen-default", "--value=1000")
    operator.kubectl("apply", "--dry-run=server", "-f", "-", stdin=json.dumps(trial), check=True)


def test_people_ask_for_it_once_more(operator: Running) -> None:
    patch = '{"spec": {"publish": {"again": 1, "users": []}}}'
    operator.kubectl("patch", "lcj/tonight", "--type=merge", "--patch", patch, check=True)
    job = ends(operator, "tonight-pub-2", 64, "gozen: LogInRefused: the app password was revoked")
    assert "--user=sora" not in job["spec"]["template"]["spec"]["containers"][0]["args"]
    message = operator.until("lcj/tonight", "Published", "LogInRefused")
    assert message == "the app password was revoked; when the cause is removed, increase publish.again"
    assert found(operator, "lcj/tonight")["status"]["published"]["link"] == LINK


def test_a_deletion_leaves_what_was_published(operator: Running) -> None:
    operator.kubectl("delete", "lcj/tonight", "--timeout=20s", check=True)
    assert not found(operator, "job/tonight-del-3")


def test_a_nextcloud_that_is_down_is_tried_again(operator: Running) -> None:
    appended(operator, "later")
    ends(operator, "later-pub-1", 75, DOWN)
    assert "; next attempt at 20" in operator.until("lcj/later", "Published", "CloudUnavailable")
    ends(operator, "later-pub-2", 0, PUBLISHED)
    operator.until("lcj/later", "Published", "Published")
    assert found(operator, "lcj/later")["status"]["published"]["failures"] == 0
    operator.kubectl("delete", "lcj/later", check=True)


def test_a_deletion_waits_for_the_removal(operator: Running) -> None:
    appended(operator, "removed", onDelete="Remove")
    ends(operator, "removed-pub-1", 0, PUBLISHED)
    assert found(operator, "lcj/removed")["metadata"]["finalizers"] == ["gozen.astro/published"]
    operator.until("lcj/removed", "Published", "Published")
    operator.kubectl("delete", "lcj/removed", "--wait=false", check=True)
    job = ends(operator, "removed-del-2", 0, '{"folder": "M31", "link": "", "files": 0, "kept": 0}')
    assert job["spec"]["template"]["spec"]["containers"][0]["args"][:2] == ["share", "unpublish"]
    wait_until(lambda: not found(operator, "lcj/removed"), "the deletion", SECONDS)
    assert "Removed" in events(operator, "removed")


def test_a_nextcloud_that_stays_down_does_not_block_a_deletion(operator: Running) -> None:
    appended(operator, "stays", onDelete="Remove")
    ends(operator, "stays-pub-1", 0, PUBLISHED)
    operator.until("lcj/stays", "Published", "Published")
    operator.kubectl("delete", "lcj/stays", "--wait=false", check=True)
    ends(operator, "stays-del-2", 75, DOWN)
    wait_until(lambda: not found(operator, "lcj/stays"), "the deletion", PATIENCE_S + SECONDS)
    assert "the server says 503" in events(operator, "stays")


def events(operator: Running, name: str) -> str:
    chosen = f"regarding.name={name}"
    return operator.kubectl("get", "events.v1.events.k8s.io", "--field-selector", chosen, "-o", "wide").stdout


def test_the_page_says_what_happens(operator: Running, tmp_path: Path) -> None:
    """Follow docs/how-to/publish-light-curves.md, while the pods of its LightCurveJob end."""
    config = yaml.safe_load(operator.server.kubeconfig.read_text())
    config["contexts"][0]["context"]["namespace"] = NAMESPACE
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(config))
    (tmp_path / "kubectl").symlink_to(tool("kubectl"))
    said = {
        "append": '{"exposures": 1, "rows": 7, "manifest": 3}',
        "pub-1": PUBLISHED.replace("M31", "Survey/M31"),
        # The page asks once more and deletes at once: a third Job may never be created.
    }

    def pods() -> None:
        for name, message in said.items():
            ends(operator, f"m31-20300105-{name}", 0, message)

    path = f"{tmp_path}:{os.environ['PATH']}"
    with ThreadPoolExecutor(1) as playing:
        played = playing.submit(pods)
        reader = Reader(tmp_path, KUBECONFIG=str(tmp_path / "kubeconfig"), PATH=path)
        reader.follow(PAGE.read_text("utf-8"), beside=played)
        played.result()


def test_without_an_account_it_says_so(operator: Running, server: ApiServer, tmp_path: Path) -> None:
    """Another operator takes over, of a release without a Nextcloud; what is published already stays so."""
    appended(operator, "kept")
    ends(operator, "kept-pub-1", 0, PUBLISHED)
    operator.until("lcj/kept", "Published", "Published")
    operator.process.terminate()
    operator.process.wait(30)
    with leading(server, tmp_path, NAMESPACE) as other:
        appended(other, "nowhere")
        message = other.until("lcj/nowhere", "Published", "NextcloudNotConfigured")
        assert message.endswith("ask the administrator to set nextcloud.url in the chart")
        assert other.condition("lcj/nowhere", "Succeeded")[0] == "True"
        assert other.condition("lcj/kept", "Published")[1] == "Published"
