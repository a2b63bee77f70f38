"""What becomes of `publish` of a LightCurveJob: Jobs, conditions, retries, and the removal at its deletion.

Covered: each state of an attempt, which failures are tried again and when, that a deletion ends, the manifests of the
Jobs. Not covered: the API server (cluster/test_publish.py), what the pods do (services/test_share_publish.py).
"""

from __future__ import annotations

import re
from typing import Any

import pytest

from gozen.resources.lightcurvejob import LightCurveJob
from gozen_operator.index.gather_facts import PublishAnswers, lightcurve_facts
from gozen_operator.index.index_entries import LightCurveEntry, entry_of, is_over
from gozen_operator.index.object_index import Index
from gozen_operator.operator_settings import OperatorSettings, PodSettings, PublishSettings
from gozen_operator.process.read_sources import published_by
from gozen_operator.reconcile.conditions import LONGEST_MESSAGE
from gozen_operator.reconcile.facts import JobSeen, LightCurveFacts, PodEnd, PublishFacts, PublishResult
from gozen_operator.reconcile.publish_manifests import job_names, publish_job, unpublish_job
from gozen_operator.reconcile.reconcile_lightcurvejob import reconcile_lightcurvejob
from gozen_operator.reconcile.reconcile_plan import FINALIZER, Plan
from gozen_operator.reconcile.refused import job_name_taken, job_refused

NOW = 1.8e9
SETTINGS = OperatorSettings(
    publish=PublishSettings(url="https://cloud.example.org", user="observatory", secret="gozen-nextcloud")
)
FOLDER = {"folder": "Survey/M31"}
DONE = [
    {"type": "Complete", "status": "True", "reason": "Appended", "lastTransitionTime": "2026-01-16T00:00:00Z"},
    {"type": "Succeeded", "status": "True", "reason": "Appended", "lastTransitionTime": "2026-01-16T00:00:00Z"},
]


def job(publish: Any = FOLDER, *, generation: int = 1, conditions: Any = DONE, **further: Any) -> LightCurveJob:
    """Return a LightCurveJob; `published` (None: no attempt is noted), `finalizers`, `deleted` are further parts."""
    metadata = {"name": "tonight", "namespace": "kiso", "uid": "u1", "generation": generation}
    metadata["finalizers"] = further.get("finalizers", [])
    if "deleted" in further:
        metadata["deletionTimestamp"] = further["deleted"]
    status = {"conditions": conditions, "rows": 7, "manifest": 3}
    if publish and (published := further.get("published", {})) is not None:
        status["published"] = published
    spec = {"selection": {"night": "20260115"}, **({"publish": publish} if publish else {})}
    whole = {"apiVersion": "gozen.astro/v1alpha1", "metadata": metadata, "spec": spec, "status": status}
    return LightCurveJob.model_validate(whole)


def after(before: LightCurveJob, plan: Plan, **metadata: Any) -> LightCurveJob:
    """Return a LightCurveJob after the status of a plan was written."""
    data = before.wire() | ({"status": plan.status} if plan.status is not None else {})
    return LightCurveJob.model_validate({**data, "metadata": {**data["metadata"], **metadata}})


def plan_for(one: LightCurveJob, settings: OperatorSettings = SETTINGS, now: float = NOW, **facts: Any) -> Plan:
    return reconcile_lightcurvejob(one, LightCurveFacts((7,), publish=PublishFacts(**facts)), settings, now)


def said(plan: Plan) -> tuple[str, str, str]:
    assert plan.status is not None
    found = {one["type"]: one for one in plan.status["conditions"]}
    assert [found[name]["status"] for name in ("Complete", "Succeeded")] == ["True", "True"]
    return found["Published"]["status"], found["Published"]["reason"], found["Published"]["message"]


def publisher(finished: Any = None, code: int | None = None, message: str = "", generation: int = 1) -> JobSeen:
    ends = [] if code is None else [PodEnd(0, code, "Error", message)]
    return JobSeen("tonight-pub-1", "j1", finished, ends=ends, generation=generation)


def test_without_publish_nothing_happens() -> None:
    assert plan_for(job(None)) == Plan()
    assert is_over(entry_of(job(None)))


def test_rows_that_were_appended_are_published() -> None:
    plan = plan_for(job())
    assert plan.create is not None
    assert plan.create["metadata"]["name"] == "tonight-pub-1"
    plan = plan_for(job(), publisher=publisher())
    assert said(plan) == ("Unknown", "Publishing", "Job tonight-pub-1")
    running = after(job(), plan)
    assert plan_for(running, publisher=publisher()) == Plan()
    result = PublishResult("Survey/M31", "https://cloud.example.org/s/abc", 5)
    plan = plan_for(running, publisher=publisher("Complete"), result=result)
    assert said(plan) == (
        "True", "Published", "5 files in the folder Survey/M31, link https://cloud.example.org/s/abc"
    )  # fmt: skip
    assert plan.status is not None
    assert plan.status["published"] == {
        "folder": "Survey/M31", "link": "https://cloud.example.org/s/abc", "files": 5,
        "kept": 0, "attempts": 1, "failures": 0, "generation": 1,
    }  # fmt: skip
    assert (plan.status["rows"], plan.status["manifest"]) == (7, 3)
    assert plan.expire is not None
    assert plan.expire.uid == "j1"
    published = after(running, plan)
    assert plan_for(published) == Plan()
    assert is_over(entry_of(published))
    assert not is_over(entry_of(running))


def test_a_lost_report_of_a_success_changes_nothing_that_is_known() -> None:
    known = {"folder": "Survey/M31", "link": "https://cloud.example.org/s/abc", "files": 5, "kept": 1, "generation": 1}
    for publish, link in ((FOLDER | {"link": True}, known["link"]), (FOLDER, "")):
        plan = plan_for(job(publish, generation=2, published=known), publisher=publisher("Complete", generation=2))
        assert plan.status is not None
        state = plan.status["published"]
        assert (state["folder"], state["link"], state["files"], state["kept"]) == ("Survey/M31", link, 5, 1)
        assert said(plan) == (
            "True", "Published", "published in the folder Survey/M31; the report of the pod is lost; to see the number "
            "of files and the link, increase publish.again",
        )  # fmt: skip


def test_an_attempt_is_noted_before_its_job_exists() -> None:
    """From then on the API server refuses that `publish` is removed from the spec, which would forget the Job."""
    plan = plan_for(job(published=None))
    assert (plan.create, plan.requeue_after_s, plan.events) == (None, 0.0, ())
    assert said(plan) == ("Unknown", "Publishing", "Job tonight-pub-1")
    noted = after(job(published=None), plan)
    assert not is_over(entry_of(noted))
    assert plan_for(noted).create is not None
    assert plan_for(job(None)) == Plan()


def test_what_keeps_access_or_was_kept_is_said() -> None:
    result = PublishResult(
        "M31", "", 5, removed=1, withdrawn=2, retained=("user sora keeps access, because kiso/x names it",)
    )
    assert said(plan_for(job(), publisher=publisher("Complete"), result=result))[2] == (
        "5 files in the folder M31; 1 file removed; 2 shares withdrawn; user sora keeps access, because kiso/x names it"
    )


REFUSED = "gozen: CloudPathNotFound: there is no user soar"
LINK = "https://cloud.example.org/s/abc"


def test_what_was_published_before_a_refusal_is_in_the_status() -> None:
    result = PublishResult("M31", LINK, 4, kept=1, settled=True)
    plan = plan_for(job(), publisher=publisher("Failed", 64, REFUSED), result=result)
    assert said(plan) == (
        "False", "CloudPathNotFound",
        f"there is no user soar; nevertheless published: 4 files in the folder M31, link {LINK}; 1 file kept, because "
        "somebody has changed it; when the cause is removed, increase publish.again",
    )  # fmt: skip
    assert plan.status is not None
    state = plan.status["published"]
    assert (state["folder"], state["link"], state["files"], state["kept"]) == ("M31", LINK, 4, 1)
    changed = "gozen: CloudConflict: not overwritten: M31/a.csv"
    plan = plan_for(job(), publisher=publisher("Failed", 64, changed), result=result)
    assert "somebody has changed it" not in said(plan)[2]  # the error names the file


def test_who_keeps_access_is_said_also_if_no_file_was_published() -> None:
    result = PublishResult("M31", "", 0, kept=5, retained=("user sora keeps access, because x names it",), settled=True)
    changed = "gozen: CloudConflict: not overwritten: M31/a.csv"
    plan = plan_for(job(), publisher=publisher("Failed", 64, changed), result=result)
    assert said(plan)[2] == (
        "not overwritten: M31/a.csv; user sora keeps access, because x names it; when the cause is removed, increase "
        "publish.again"
    )
    plan = plan_for(job(), publisher=publisher("Failed", 64, REFUSED), result=PublishResult("M31", "", 0, kept=2))
    assert "no user soar; 2 files kept, because somebody has changed them; when" in said(plan)[2]


@pytest.mark.parametrize(
    ("code", "end"),
    [
        (64, "; when the cause is removed, increase publish.again"),
        (75, r"; next attempt at 2027-01-15T08:\d\d:\d\dZ"),
    ],
)
def test_a_long_condition_keeps_what_happens_next(code: int, end: str) -> None:
    kept = tuple(f"user someone{number} keeps access, because kiso/m31-2030010{number} names it" for number in range(9))
    result = PublishResult("Survey/M31", LINK, 5, retained=kept * 2, settled=True)
    message = said(plan_for(job(), publisher=publisher("Failed", code, REFUSED), result=result))[2]
    assert re.search(f"…{end}$", message)
    assert len(message) == LONGEST_MESSAGE


@pytest.mark.parametrize(
    ("result", "link", "files"),
    [
        (None, LINK, 5),
        (PublishResult("M31", "", 2), LINK, 5),  # it failed before it knew
        (PublishResult("M31", LINK + "d", 2), LINK + "d", 5),
        (PublishResult("M31", "", 4, settled=True), "", 4),
    ],
)
def test_a_failure_changes_only_what_its_pod_knows(result: PublishResult | None, link: str, files: int) -> None:
    before = {"folder": "M31", "link": LINK, "files": 5, "attempts": 1, "generation": 1}
    failed = JobSeen("tonight-pub-2", "j", "Failed", ends=[PodEnd(0, 75, "Error", DOWN)], generation=1)
    plan = plan_for(job(published=before), publisher=failed, result=result)
    assert plan.status is not None
    state = plan.status["published"]
    assert (state["folder"], state["link"], state["files"]) == ("M31", link, files)


def test_a_change_of_the_spec_publishes_again() -> None:
    done = {"folder": "Survey/M31", "attempts": 1, "generation": 1}
    plan = plan_for(job(generation=2, published=done))
    assert plan.create is not None
    assert plan.create["metadata"]["name"] == "tonight-pub-2"
    assert plan.create["metadata"]["labels"]["gozen.astro/generation"] == "2"


@pytest.mark.parametrize("seen", [publisher(), publisher("Complete"), publisher("Failed", 75), publisher("Failed", 64)])
def test_a_job_of_the_spec_before_does_not_count_for_the_new_one(seen: JobSeen) -> None:
    plan = plan_for(job(generation=2), publisher=seen, result=PublishResult("Survey/M31", "", 5))
    assert plan.status is not None
    assert plan.status["conditions"][-1]["observedGeneration"] == 1  # so `kubectl wait` goes on
    told = after(job(generation=2), plan)
    assert not is_over(entry_of(told))
    assert seen.finished is None or plan_for(told).create is not None


def test_nextcloud_that_is_down_is_tried_again_with_longer_pauses() -> None:
    one, times = job(), list[float]()
    for attempt in range(1, 9):
        down = JobSeen(f"tonight-pub-{attempt}", "j", "Failed", ends=[PodEnd(0, 75, "Error", DOWN)], generation=1)
        plan = plan_for(one, publisher=down)
        status, reason, message = said(plan)
        assert (status, reason) == ("False", "CloudUnavailable")
        assert message.startswith("cannot upload x: the server says 503; next attempt at 2027-01-15T")
        assert plan.requeue_after_s is not None
        times.append(plan.requeue_after_s)
        one = after(one, plan)
        waiting = plan_for(one)
        assert (waiting.create, waiting.requeue_after_s) == (None, times[-1])
        assert not is_over(entry_of(one))
        again = plan_for(one, now=NOW + times[-1])
        assert again.create is not None
        assert again.create["metadata"]["name"] == f"tonight-pub-{attempt + 1}"
    factor = times[0] / 60
    assert 0.75 <= factor <= 1.25
    assert times == pytest.approx([factor * one for one in (60, 120, 240, 480, 960, 1920, 3600, 3600)], rel=0.02)


def test_many_that_fail_together_do_not_all_try_again_together() -> None:
    pauses = set()
    for number in range(200):
        data = job().wire()
        one = LightCurveJob.model_validate({**data, "metadata": {**data["metadata"], "uid": f"u{number}"}})
        plan = plan_for(one, publisher=publisher("Failed", 75, DOWN))
        assert plan == plan_for(one, publisher=publisher("Failed", 75, DOWN))
        pauses.add(plan.requeue_after_s)
    found = sorted(one for one in pauses if one is not None)
    assert len(found) > 25
    assert 45 <= found[0] < 48
    assert 72 < found[-1] <= 75


DOWN = "gozen: CloudUnavailable: cannot upload x: the server says 503"


@pytest.mark.parametrize(
    ("code", "message", "reason"),
    [
        (64, "gozen: LogInRefused: the app password was revoked", "LogInRefused"),
        (64, "gozen: CloudRefused: links are switched off", "CloudRefused"),
        (64, "gozen: CloudConflict: not overwritten", "CloudConflict"),
        (65, "gozen: UnreadableInput: a file is damaged", "UnreadableInput"),
        (70, "", "Bug"),
    ],
)
def test_what_needs_a_person_is_not_tried_again(code: int, message: str, reason: str) -> None:
    plan = plan_for(job(), publisher=publisher("Failed", code, message))
    assert said(plan)[:2] == ("False", reason)
    assert said(plan)[2].endswith("when the cause is removed, increase publish.again")
    failed = after(job(), plan)
    assert plan_for(failed, now=NOW + 1e6) == Plan()
    assert is_over(entry_of(failed))
    raised = LightCurveJob.model_validate(
        {**failed.wire(), "metadata": {**failed.wire()["metadata"], "generation": 2},
         "spec": {**failed.wire()["spec"], "publish": {**FOLDER, "again": 1}}}
    )  # fmt: skip
    assert plan_for(raised).create is not None


@pytest.mark.parametrize("seen", [publisher("Failed"), publisher("Failed", 137), publisher("Failed", 143), None])
def test_a_pod_that_was_lost_is_tried_again(seen: JobSeen | None) -> None:
    running = after(job(), plan_for(job(), publisher=publisher()))
    plan = plan_for(running, publisher=seen)
    assert said(plan)[0] == "False"
    assert plan.requeue_after_s is not None
    assert 45 <= plan.requeue_after_s <= 75


def test_a_pod_without_enough_memory_names_its_own_limit() -> None:
    plan = plan_for(job(), publisher=publisher("Failed", 137))
    assert said(plan)[1] == "WorkerLost"
    assert "raise nextcloud.resources.limits.memory" in said(plan)[2]


def test_what_cannot_be_published_says_why() -> None:
    plan = plan_for(job(), OperatorSettings())
    assert said(plan) == (
        "False", "NextcloudNotConfigured",
        "this Gozen has no account at a Nextcloud; ask the administrator to set nextcloud.url in the chart",
    )  # fmt: skip
    assert plan_for(after(job(), plan)).create is not None  # after the administrator has set it
    failed = [DONE[0], {**DONE[1], "status": "False", "reason": "WorkerLost"}]
    plan = plan_for(job(conditions=failed))
    assert plan.status is not None
    assert plan.status["conditions"][-1]["reason"] == "NotAppended"


def test_a_nextcloud_that_is_not_configured_for_a_while_changes_nothing_that_is_published() -> None:
    published = after(job(), plan_for(job(), publisher=publisher("Complete"), result=PublishResult("M31", "", 5)))
    assert plan_for(published, OperatorSettings()) == Plan()
    running = after(job(), plan_for(job(), publisher=publisher()))
    assert plan_for(running, OperatorSettings(), publisher=publisher()) == Plan()
    down = after(job(), plan_for(job(), publisher=publisher("Failed", 75, DOWN)))
    assert plan_for(down, OperatorSettings()).status is None
    due = plan_for(down, OperatorSettings(), now=NOW + 3600)
    assert said(due)[1] == "NextcloudNotConfigured"
    assert plan_for(after(down, due), now=NOW + 3600).create is not None


def test_an_earlier_operator_said_that_a_published_one_is_not_configured() -> None:
    published = after(job(), plan_for(job(), publisher=publisher("Complete"), result=PublishResult("M31", "", 5)))
    stuck = plan_for(job(), OperatorSettings()).status
    assert stuck is not None
    assert published.status is not None
    state = published.status.model_dump(mode="json", exclude_none=True)["published"]
    one = job(conditions=stuck["conditions"], published=state)
    assert plan_for(one).create is not None


def test_without_a_nextcloud_no_finalizer_is_added() -> None:
    plan = plan_for(job(REMOVE), OperatorSettings())
    assert (plan.finalizer, said(plan)[1]) == (None, "NextcloudNotConfigured")


def test_a_refused_job_leaves_the_rows_as_they_are() -> None:
    plan = plan_for(job())
    assert plan.create is not None
    for refused in (
        job_refused(job().wire(), plan.create, "exceeded quota", NOW),
        job_name_taken(job().wire(), plan.create, "exceeded quota", NOW, 10.0),
    ):
        assert said(refused)[0::2] == ("False", "exceeded quota")
        assert not is_over(entry_of(after(job(), refused)))


REMOVE = {**FOLDER, "onDelete": "Remove"}
DELETED = {"finalizers": [FINALIZER], "deleted": "2027-01-15T08:00:00Z", "generation": 2}
"""`NOW` is 2027-01-15T08:00:00Z."""


def test_a_deletion_leaves_what_was_published() -> None:
    published = {"folder": "Survey/M31", "attempts": 1, "generation": 1}
    assert plan_for(job(published=published, deleted="2027-01-15T08:00:00Z")) == Plan()
    assert plan_for(job(published=published, **DELETED)).finalizer == "remove"  # onDelete was Remove before


def test_the_finalizer_comes_before_the_first_file() -> None:
    plan = plan_for(job(REMOVE))
    assert (plan.finalizer, plan.create) == ("add", None)
    assert plan_for(job(REMOVE, finalizers=[FINALIZER])).create is not None
    assert plan_for(job(FOLDER, finalizers=[FINALIZER])).finalizer == "remove"
    assert plan_for(job(None, finalizers=[FINALIZER])).finalizer == "remove"


def test_a_deletion_removes_what_was_published() -> None:
    one = job(REMOVE, published={"folder": "Survey/M31", "attempts": 1, "generation": 1}, **DELETED)
    assert not is_over(entry_of(one))
    still = JobSeen("tonight-pub-2", "j2", generation=1)
    assert plan_for(one, publisher=still).create is None  # what it still sends would stay
    plan = plan_for(one)
    assert plan.create is not None
    assert plan.create["metadata"]["name"] == "tonight-del-2"
    remover = JobSeen("tonight-del-2", "j3", generation=2)
    running = plan_for(one, remover=remover)
    assert said(running)[1] == "Removing"
    done = JobSeen("tonight-del-2", "j3", "Complete")
    for now in (NOW, NOW + 1e6):  # the operator may have been down for the whole time that a removal may take
        plan = plan_for(after(one, running), remover=done, now=now)
        assert (plan.finalizer, plan.events[0].reason) == ("remove", "Removed")
    (event,) = plan_for(after(one, running), now=NOW + 1e6).events
    assert event.message.endswith("they were not removed in time")
    removal = PublishResult("Survey/M31", "", 0, kept=2, removed=3, withdrawn=1)
    (event,) = plan_for(after(one, running), remover=done, removal=removal).events
    assert (event.reason, event.type, event.message) == (
        "Removed", "Warning", "the files of tonight are removed from the folder Survey/M31 of Nextcloud; 1 share "
        "withdrawn; 2 files kept, because somebody has changed them",
    )  # fmt: skip
    shares = PublishResult("Survey/M31", "", 0, retained=("user sora keeps access, because kiso/x names it",))
    (event,) = plan_for(after(one, running), remover=done, removal=shares).events
    assert (event.reason, event.type) == ("Removed", "Warning")
    assert event.message.endswith("user sora keeps access, because kiso/x names it")


@pytest.mark.parametrize("known", [{"folder": "Survey/M31"}, {"files": 5}, {"link": "https://cloud.example.org/s/abc"}])
def test_a_removal_without_a_note_says_what_is_known(known: dict[str, Any]) -> None:
    """An attempt whose answer was lost may have removed everything, so the Event does not say that files are left."""
    one = job(REMOVE, published={"attempts": 2, "generation": 1, **known}, **DELETED)
    done, nothing = JobSeen("tonight-del-3", "j3", "Complete"), PublishResult("Survey/M31", "", 0, found=False)
    plan = plan_for(one, remover=done, removal=nothing)
    (event,) = plan.events
    assert (plan.finalizer, event.reason, event.type) == ("remove", "NotRemoved", "Warning")
    assert event.message == (
        "found no note of tonight in Nextcloud, so nothing more was removed; if files or shares of it are still in the "
        "folder Survey/M31, remove them there"
    )


def test_a_removal_says_that_nothing_was_ever_published() -> None:
    one = job(REMOVE, published={"attempts": 1, "failures": 1, "generation": 1}, **DELETED)
    done, nothing = JobSeen("tonight-del-2", "j3", "Complete"), PublishResult("Survey/M31", "", 0, found=False)
    (event,) = plan_for(one, remover=done, removal=nothing).events
    assert (event.reason, event.type) == ("NothingPublished", "Normal")
    assert event.message == "nothing of tonight was published in the folder Survey/M31 of Nextcloud"


def test_nothing_was_published_so_nothing_is_removed() -> None:
    assert plan_for(job(REMOVE, **DELETED)).finalizer == "remove"


@pytest.mark.parametrize("code", [64, 75])
def test_a_nextcloud_that_is_down_does_not_block_a_deletion_for_ever(code: int) -> None:
    waiting = {
        "folder": "Survey/M31",
        "attempts": 1,
        "failures": 9,
        "generation": 1,
        "retryTime": "2027-01-15T09:00:00Z",
    }
    one, now, attempts = job(REMOVE, published=waiting, **DELETED), NOW, 0
    while True:
        plan = plan_for(one, now=now)
        if plan.finalizer == "remove":
            break
        if plan.create is not None:
            attempts += 1
            name = plan.create["metadata"]["name"]
            down = JobSeen(name, "j", "Failed", ends=[PodEnd(0, code, "Error", DOWN)], generation=2)
            plan = plan_for(one, now=now, remover=down)
            one = after(one, plan)
        assert plan.requeue_after_s is not None
        now += plan.requeue_after_s
    assert now == NOW + 3600
    assert attempts == 6
    (event,) = plan.events
    assert (event.reason, event.type) == ("NotRemoved", "Warning")
    assert "stay in the folder Survey/M31 of Nextcloud: cannot upload x: the server says 503" in event.message


def test_the_pod_has_only_what_it_needs() -> None:
    volume = {"persistentVolumeClaim": {"claimName": "archive"}}
    publish = PublishSettings(
        url="https://cloud.example.org", user="observatory", secret="gozen-nextcloud", ca_map="gozen-ca",
        archive_secret="gozen-s3-read",
    )  # fmt: skip
    settings = OperatorSettings(publish=publish, pods=PodSettings(secret="gozen-s3", volume=volume, profiles_map="p"))
    request = {
        **FOLDER, "folder": "$(HOME)/a", "users": ["-x", "sora"], "groups": ["sky"],
        "link": True, "linkDays": 3, "linkPassword": True,
    }  # fmt: skip
    manifest = publish_job(job(request), settings)
    pod = manifest["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["args"] == [
        "share", "publish", "20260115", "--table=lightcurves", "--run=r1", "--folder=$$(HOME)/a", "--name=kiso/tonight",
        "--result=/dev/termination-log", "--user=-x", "--user=sora", "--group=sky", "--link", "--link-days=3",
        "--link-password-file=/etc/gozen/nextcloud/link-password",
    ]  # fmt: skip
    assert (pod["serviceAccountName"], pod["automountServiceAccountToken"]) == ("gozen-publish", False)
    mounts = {one["name"]: one for one in container["volumeMounts"]}
    assert {name for name, one in mounts.items() if not one.get("readOnly")} == {"scratch"}
    secrets = sorted(one["secret"]["secretName"] for one in pod["volumes"] if "secret" in one)
    assert secrets == ["gozen-nextcloud", "gozen-s3-read"]
    (account,) = [one["secret"] for one in pod["volumes"] if one["name"] == "nextcloud"]
    assert account["optional"]  # without the Secret the pod says so, instead of waiting for it
    assert {one["name"]: one["value"] for one in container["env"]} | {"GOZEN_WORKERS": "1", "HOME": "/tmp"} == {
        "GOZEN_SHARING__URL": "https://cloud.example.org", "GOZEN_SHARING__USER": "observatory",
        "GOZEN_SHARING__PASSWORD_FILE": "/etc/gozen/nextcloud/password",
        "GOZEN_SHARING__CA_FILE": "/etc/gozen/nextcloud-ca/ca.pem", "GOZEN_WORKERS": "1", "HOME": "/tmp",
    }  # fmt: skip
    removal = unpublish_job(job(request), settings)
    pod = removal["spec"]["template"]["spec"]
    assert {one["name"] for one in pod["volumes"]} == {"scratch", "profiles", "nextcloud", "nextcloud-ca"}
    for one in (manifest, removal):
        assert one["metadata"]["labels"]["app.kubernetes.io/component"] == "publish"
        assert one["metadata"]["ownerReferences"][0]["uid"] == "u1"


def test_names_of_jobs_fit_into_a_host_name() -> None:
    data = job(published={"attempts": 123_456}).wire()
    longest = LightCurveJob.model_validate({**data, "metadata": {**data["metadata"], "name": "x" * 52}})
    assert max(map(len, job_names(longest))) <= 61
    assert len(set(job_names(longest))) == 3


@pytest.mark.parametrize(
    ("message", "found"),
    [
        ('{"folder": "a", "link": "", "files": 5, "kept": 0}', PublishResult("a", "", 5)),
        ('{"folder": "a", "link": "", "files": 5}\ngozen: CloudRefused: no\n', PublishResult("a", "", 5)),
        (
            '{"folder": "a", "link": "l", "files": 4, "kept": 1, "found": false, "removed": 2, "withdrawn": 3, '
            '"retained": ["é"], "settled": true}',
            PublishResult("a", "l", 4, 1, False, 2, 3, ("é",), True),
        ),
        ('{"folder": "a", "lin', None),
        ('{"folder": "a", "link": "", "files": 5, "retained": 7}', None),
        ("[]", None),
        ("", None),
    ],
)
def test_what_a_pod_says(message: str, found: PublishResult | None) -> None:
    for code in (0, 64):
        ended = {"state": {"terminated": {"exitCode": code, "message": message}}}
        assert published_by([{"status": {"containerStatuses": [ended]}}]) == found


def test_a_pod_that_succeeded_says_more_than_one_that_failed() -> None:
    messages = {75: '{"folder": "a", "link": "", "files": 1}', 0: '{"folder": "a", "link": "l", "files": 5}'}
    pods = [
        {"status": {"containerStatuses": [{"state": {"terminated": {"exitCode": code, "message": text}}}]}}
        for code, text in messages.items()
    ]
    assert published_by(pods) == PublishResult("a", "l", 5)


def test_of_failed_pods_the_newest_is_heard() -> None:
    ended = [
        {
            "metadata": {"creationTimestamp": f"2027-01-15T08:0{minute}:00Z"},
            "status": {"containerStatuses": [{"state": {"terminated": {"exitCode": 75, "message": text}}}]},
        }
        for minute, text in (
            (2, '{"folder": "a", "link": "new", "files": 5}'),
            (1, '{"folder": "a", "link": "", "files": 0}'),
        )
    ]
    for pods in (ended, ended[::-1]):
        assert published_by(pods) == PublishResult("a", "new", 5)


def test_the_pods_of_publisher_and_remover_are_not_mixed_up() -> None:
    index, one = Index(), job(REMOVE, **DELETED)
    for number, manifest in enumerate((publish_job(one, SETTINGS), unpublish_job(one, SETTINGS))):
        index.put({**manifest, "metadata": {**manifest["metadata"], "uid": f"j{number}", "resourceVersion": "1"}})
    sent, refused = PublishResult("M31", "", 5), PodEnd(0, 75, "Error", DOWN)
    facts = lightcurve_facts(index, one, (7,), (), None, PublishAnswers((), sent), PublishAnswers((refused,))).publish
    assert facts.publisher is not None
    assert facts.remover is not None
    assert (facts.publisher.ends, facts.remover.ends) == ((), (refused,))
    assert (facts.result, facts.removal) == (sent, None)


def test_a_light_curve_entry_of_a_deleted_one_waits_for_the_removal() -> None:
    entry = entry_of(job(REMOVE, **DELETED))
    assert isinstance(entry, LightCurveEntry)
    assert (entry.going, entry.publishes) == (True, True)
