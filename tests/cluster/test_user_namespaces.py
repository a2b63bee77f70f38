"""Users' namespaces on a real API server: the service creates them with the account and the settings of the chart.

Covered: the content of a namespace; how long it takes; repeated and concurrent requests; changes by hand; namespaces of
others; callers that are not the hub; what the account cannot do even if its program is taken over: rights and the
admission policy, each tested directly. Not covered: pods and connections in such a namespace (the node), templates
(tests/unit/test_chart_hub).
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jwt
import pytest

from gozen_hub.namespaces.namespace_app import AUDIENCE
from gozen_hub.namespaces.namespace_objects import OWNED, USER, quota

from .api_server import ISSUER, ApiServer
from .users_release import NAME, PLACE, Users, forget, users

pytestmark = pytest.mark.xdist_group("api")
SECONDS_FOR_A_NAMESPACE = 5  # 0.1 s on a machine that does nothing else
ADA = "gozen-user-ada"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
CONTENT = ("resourcequotas", "limitranges", "serviceaccounts", "networkpolicies", "rolebindings")
MARKED = {**OWNED, "pod-security.kubernetes.io/enforce": "restricted"}


@pytest.fixture(scope="module")
def service(api_server: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Users]:
    found = users(api_server, tmp_path_factory.mktemp("users"))
    yield found
    forget(found)


@pytest.fixture(scope="module")
def ada(service: Users) -> str:
    """Return the namespace of a user."""
    assert service.ask(ADA, "ada") == (200, f"the namespace {ADA} is ready")
    return ADA


def versions(service: Users, name: str) -> dict[str, str]:
    """Return the version of each object of a namespace, which a write that changes nothing leaves."""
    items = service.get(",".join(CONTENT), "-n", name)["items"]
    found = {f"{one['kind']}/{one['metadata']['name']}": one["metadata"]["resourceVersion"] for one in items}
    return found | {"namespace": service.get("namespace", name)["metadata"]["resourceVersion"]}


def content(service: Users, name: str) -> dict[str, Any]:
    """Return what the objects of a namespace say, without what the API server notes about them."""
    items = [service.get("namespace", name), *service.get(",".join(CONTENT), "-n", name)["items"]]
    said = {}
    for one in items:
        meta = {key: one["metadata"].get(key) for key in ("labels", "annotations")}
        kept = {key: value for key, value in one.items() if key not in ("metadata", "status")}
        said[f"{one['kind']}/{one['metadata']['name']}"] = kept | meta
    return said


def test_a_namespace_is_there_in_seconds_with_all_that_guards_it(service: Users) -> None:
    token = service.token()
    start = time.monotonic()
    assert service.ask("gozen-user-grace", "grace", token)[0] == 200
    assert time.monotonic() - start < SECONDS_FOR_A_NAMESPACE
    found = content(service, "gozen-user-grace")
    namespace = found["Namespace/gozen-user-grace"]
    assert MARKED.items() <= namespace["labels"].items()
    assert namespace["annotations"][USER] == "grace"
    assert found["ResourceQuota/user"]["spec"]["hard"] == quota(service.settings.namespaces.quota)
    assert found["LimitRange/user"]["spec"]["limits"][0]["default"]["memory"]
    assert found["ServiceAccount/default"]["automountServiceAccountToken"] is False
    assert {name for name in found if name.startswith("NetworkPolicy")} == {
        f"NetworkPolicy/{name}" for name in ("deny", "labs", "workers")
    }
    assert found["NetworkPolicy/deny"]["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    assert found["RoleBinding/hub"]["subjects"] == [
        {"kind": "ServiceAccount", "name": f"{NAME}-hub", "namespace": PLACE}
    ]


@pytest.mark.parametrize(
    ("words", "where", "allowed"),
    [
        ("create pods", ADA, True),
        ("delete pods", ADA, True),
        ("create persistentvolumeclaims", ADA, True),
        ("get persistentvolumeclaims", ADA, True),
        ("delete persistentvolumeclaims", ADA, False),
        ("get secrets", ADA, False),
        ("create pods --subresource=exec", ADA, False),
        ("get pods --subresource=log", ADA, False),
        ("create serviceaccounts --subresource=token", ADA, False),
        ("patch networkpolicies.networking.k8s.io", ADA, False),
        ("patch resourcequotas", ADA, False),
        ("create rolebindings.rbac.authorization.k8s.io", ADA, False),
        ("create pods", "default", False),
        ("create pods", PLACE, False),
        ("delete pods", "kube-system", False),
    ],
)
def test_the_hub_starts_labs_in_users_namespaces_and_nowhere_else(
    service: Users, ada: str, words: str, where: str, allowed: bool
) -> None:
    who = f"--as=system:serviceaccount:{PLACE}:{NAME}-hub"
    said = service.server.kubectl("auth", "can-i", *words.split(), "-n", where, who)
    assert said.stdout.split()[0] == ("yes" if allowed else "no"), said.stdout + said.stderr


def test_asked_again_nothing_changes(service: Users, ada: str) -> None:
    before = versions(service, ada)
    assert len(before) == 8
    assert service.ask(ada, "ada")[0] == 200
    assert versions(service, ada) == before


def test_asked_several_times_at_once_it_is_made_once(service: Users) -> None:
    token = service.token()
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: service.ask("gozen-user-mary", "mary", token), range(4)))
    assert [status for status, _ in answers] == [200] * 4, answers
    assert len(versions(service, "gozen-user-mary")) == 8


@pytest.mark.parametrize(
    ("kind", "name", "change"),
    [
        ("resourcequota", "user", {"spec": {"hard": {"limits.cpu": "1000", "pods": "999"}}}),
        ("networkpolicy", "deny", {"spec": {"policyTypes": ["Ingress"]}}),
        ("networkpolicy", "labs", {"spec": {"egress": [{}]}}),
        ("serviceaccount", "default", {"automountServiceAccountToken": True}),
        (
            "rolebinding",
            "hub",
            {"subjects": [{"kind": "ServiceAccount", "name": "eve", "namespace": "default"}]},
        ),
        ("namespace", ADA, {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "privileged"}}}),
        ("limitrange", "user", None),
        ("networkpolicy", "deny", None),
    ],
)
def test_what_was_changed_by_hand_is_restored(
    service: Users, ada: str, kind: str, name: str, change: dict[str, Any] | None
) -> None:
    before = content(service, ada)
    where = () if kind == "namespace" else ("-n", ada)
    how = ("delete",) if change is None else ("patch", "--type=merge", f"--patch={json.dumps(change)}")
    service.server.kubectl(how[0], kind, name, *where, *how[1:], check=True)
    assert content(service, ada) != before
    assert service.ask(ada, "ada")[0] == 200
    assert content(service, ada) == before


def test_the_namespace_of_another_user_is_refused(service: Users, ada: str) -> None:
    before = versions(service, ada)
    status, said = service.ask(ada, "eve")
    assert (status, "belongs to the user 'ada'" in said) == (409, True)
    assert versions(service, ada) == before


def test_a_namespace_that_was_not_made_for_a_user_is_refused(service: Users) -> None:
    service.server.kubectl("create", "namespace", "gozen-user-of-others", check=True)
    status, said = service.ask("gozen-user-of-others", "ada")
    assert (status, "was not made for a user of the hub" in said) == (409, True)
    assert "deny" not in str(service.get("networkpolicies", "-n", "gozen-user-of-others"))


@pytest.mark.parametrize("name", ["kube-system", PLACE, "gozen-user", "gozen-user-", "gozen-userx-ada", "new"])
def test_a_name_outside_the_prefix_is_refused(service: Users, name: str) -> None:
    known = service.exists(name)
    status, said = service.ask(name, "ada")
    assert status in (404, 409)
    assert "begin with gozen-user-" in said or name.endswith("-")
    assert service.exists(name) == known


def test_a_namespace_that_is_being_deleted_is_not_used(service: Users) -> None:
    assert service.ask("gozen-user-gone", "gone")[0] == 200
    service.server.kubectl("delete", "namespace", "gozen-user-gone", "--wait=false", check=True)
    status, said = service.ask("gozen-user-gone", "gone")
    assert (status, said) == (503, "the namespace gozen-user-gone is being deleted; try again in a minute")


def signed_again(service: Users, token: str, **changes: Any) -> str:
    """Return a token with other claims, signed with the key of the API server."""
    key = (service.server.folder / "certificates" / "service-accounts.key").read_text()
    header = jwt.get_unverified_header(token)
    claims = jwt.decode(token, options={"verify_signature": False}) | changes
    return jwt.encode(claims, key, algorithm="ES256", headers={"kid": header["kid"]})


def test_only_the_hub_may_ask(service: Users) -> None:
    """One claim of the token differs each time; the token that is signed again without a change is accepted."""
    token, now = service.token(), int(time.time())
    another = ("--audience=something-else",)
    forged = jwt.encode(jwt.decode(token, options={"verify_signature": False}), "k" * 32, algorithm="HS256")
    strangers = {
        "none": "",
        "nonsense": "nonsense",
        "forged": forged,
        "cut short": token[:-4],
        "expired": signed_again(service, token, iat=now - 7200, nbf=now - 7200, exp=now - 3600),
        "not yet valid": signed_again(service, token, nbf=now + 3600, exp=now + 7200),
        "of another issuer": signed_again(service, token, iss="https://elsewhere.example.org"),
        "the hub's for another service": service.token(f"{NAME}-hub", *another),
        "the hub's for the API server": service.token(f"{NAME}-hub", f"--audience={ISSUER}"),
        "the portal's": service.token(f"{NAME}-portal"),
        "the service's own": service.token(f"{NAME}-namespaces"),
        "the administrator's": service.server.users["admin"].token,
    }
    answers = {who: service.ask("gozen-user-eve", "eve", its) for who, its in strangers.items()}
    assert {who: status for who, (status, _) in answers.items() if status != 403} == {}
    assert not service.exists("gozen-user-eve")
    assert service.http.put("/namespaces/gozen-user-eve", json={"user": "eve"}).status_code == 403
    assert service.ask(ADA, "ada", signed_again(service, token))[0] == 200


def test_a_token_of_an_account_that_is_gone_is_refused(service: Users) -> None:
    other = service.server.kubectl("get", "serviceaccount", f"{NAME}-hub", "-n", PLACE, "--output=json", check=True)
    token = service.token()
    service.server.kubectl("delete", "serviceaccount", f"{NAME}-hub", "-n", PLACE, check=True)
    try:
        assert service.ask("gozen-user-late", "late", token)[0] == 403
    finally:
        made = json.loads(other.stdout)
        made["metadata"] = {key: made["metadata"][key] for key in ("name", "namespace", "labels")}
        service.server.kubectl("create", "-f", "-", stdin=json.dumps(made), check=True)
    assert service.ask("gozen-user-late", "late")[0] == 200


def manifest(api: str, kind: str, name: str, **content: Any) -> dict[str, Any]:
    return {"apiVersion": api, "kind": kind, "metadata": {"name": name, **content.pop("metadata", {})}, **content}


def binding(role: str, account: str, namespace: str = PLACE, kind: str = "ClusterRole") -> dict[str, Any]:
    group = "rbac.authorization.k8s.io"
    return manifest(
        f"{group}/v1",
        "RoleBinding",
        "try",
        roleRef={"apiGroup": group, "kind": kind, "name": role},
        subjects=[{"kind": "ServiceAccount", "name": account, "namespace": namespace}],
    )


HUB_BINDING = binding(f"{NAME}-hub-labs", f"{NAME}-hub")
QUOTA = manifest("v1", "ResourceQuota", "try", spec={"hard": {"pods": "1"}})
TRY = f"{RBAC}/namespaces/{{}}/rolebindings/try"


def test_what_the_account_needs_it_may_do_directly(service: Users, ada: str) -> None:
    assert service.refusal(TRY.format(ada), HUB_BINDING) == ""
    assert service.refusal(f"/api/v1/namespaces/{ada}/resourcequotas/try", QUOTA) == ""
    new = manifest("v1", "Namespace", "gozen-user-new", metadata={"labels": MARKED})
    assert service.refusal("/api/v1/namespaces/gozen-user-new", new) == ""
    account = manifest("v1", "ServiceAccount", "default", automountServiceAccountToken=False)
    assert service.refusal(f"/api/v1/namespaces/{ada}/serviceaccounts/default", account) == ""


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        (
            "/api/v1/namespaces/elsewhere",
            manifest("v1", "Namespace", "elsewhere", metadata={"labels": MARKED}),
            "names begin with gozen-user-",
        ),
        ("/api/v1/namespaces/kube-system/resourcequotas/try", QUOTA, "names begin with gozen-user-"),
        (TRY.format("kube-system"), HUB_BINDING, "names begin with gozen-user-"),
        (TRY.format(PLACE), HUB_BINDING, "names begin with gozen-user-"),
        (
            "/api/v1/namespaces/kube-system",
            manifest("v1", "Namespace", "kube-system", metadata={"labels": MARKED}),
            "names begin with gozen-user-",
        ),
        (
            "/api/v1/namespaces/gozen-user-plain",
            manifest("v1", "Namespace", "gozen-user-plain"),
            "with the labels of these",
        ),
        (
            "/api/v1/namespaces/gozen-user-theirs",
            manifest("v1", "Namespace", "gozen-user-theirs", metadata={"labels": MARKED}),
            "with the labels of these",
        ),
        ("/api/v1/namespaces/gozen-user-theirs/resourcequotas/try", QUOTA, "with the labels of these"),
        (
            "/api/v1/namespaces/gozen-user-free",
            manifest("v1", "Namespace", "gozen-user-free", metadata={"labels": OWNED}),
            "enforces the level restricted",
        ),
        (
            f"/api/v1/namespaces/{ADA}",
            manifest("v1", "Namespace", ADA, metadata={"labels": MARKED, "annotations": {USER: "eve"}}),
            "stays that of its user",
        ),
        (
            f"/api/v1/namespaces/{ADA}/serviceaccounts/default",
            manifest("v1", "ServiceAccount", "default", automountServiceAccountToken=True),
            "without a token",
        ),
        (
            f"/api/v1/namespaces/{ADA}/serviceaccounts/another",
            manifest("v1", "ServiceAccount", "another", automountServiceAccountToken=False),
            'cannot patch resource "serviceaccounts"',
        ),
        (TRY.format(ADA), binding(f"{NAME}-hub-labs", f"{NAME}-portal"), "binds only the roles of the hub"),
        (TRY.format(ADA), binding(f"{NAME}-hub-labs", f"{NAME}-hub", ADA), "binds only the roles of the hub"),
        (TRY.format(ADA), binding("cluster-admin", f"{NAME}-hub"), "attempting to grant RBAC permissions"),
        (TRY.format(ADA), binding("edit", f"{NAME}-hub"), "binds only the roles of the hub"),
        (
            f"{RBAC}/clusterrolebindings/try",
            manifest("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", "try"),
            'cannot patch resource "clusterrolebindings"',
        ),
        (
            f"/api/v1/namespaces/{ADA}/pods/try",
            manifest("v1", "Pod", "try", spec={"containers": []}),
            'cannot patch resource "pods"',
        ),
        (
            f"/api/v1/namespaces/{ADA}/secrets/try",
            manifest("v1", "Secret", "try"),
            'cannot patch resource "secrets"',
        ),
        (
            "/api/v1/persistentvolumes/gozen-user-ada-archive-0",
            manifest("v1", "PersistentVolume", "gozen-user-ada-archive-0"),
            'cannot patch resource "persistentvolumes"',
        ),
    ],
)
def test_even_a_stolen_account_makes_nothing_else(
    service: Users, ada: str, path: str, body: dict[str, Any], said: str
) -> None:
    labels = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "gozen-user-theirs"}}
    service.server.kubectl("apply", "-f", "-", stdin=json.dumps(labels), check=True)
    assert said in service.refusal(path, body)


def test_with_more_rights_the_account_is_still_held_by_the_policy(service: Users, ada: str) -> None:
    """Somebody makes it an administrator by mistake: the policy does not depend on rights."""
    words = ("--clusterrole=cluster-admin", f"--serviceaccount={PLACE}:{NAME}-namespaces")
    service.server.kubectl("create", "clusterrolebinding", "mistake", *words, check=True)
    try:
        assert "binds only the roles" in service.refusal(TRY.format(ada), binding("cluster-admin", f"{NAME}-hub"))
        secret = manifest("v1", "Secret", "try")
        assert "and nothing else" in service.refusal(f"/api/v1/namespaces/{ada}/secrets/try", secret)
        assert "and nothing else" in service.refusal(f"/api/v1/namespaces/{ada}", {}, "DELETE")
    finally:
        service.server.kubectl("delete", "clusterrolebinding", "mistake", check=True)


@pytest.mark.parametrize("account", ["proxy", "portal"])
@pytest.mark.parametrize("words", ["get pods", "list secrets", "create pods", "list namespaces", "get configmaps"])
def test_proxy_and_portal_have_no_rights(service: Users, ada: str, account: str, words: str) -> None:
    who = f"--as=system:serviceaccount:{PLACE}:{NAME}-{account}"
    for where in (PLACE, ada):
        said = service.server.kubectl("auth", "can-i", *words.split(), "-n", where, who)
        assert said.stdout.split()[0] == "no", said.stdout + said.stderr


def test_the_audience_is_that_of_the_chart(service: Users) -> None:
    claims = jwt.decode(service.token(), options={"verify_signature": False})
    assert (claims["aud"], claims["sub"]) == ([AUDIENCE], f"system:serviceaccount:{PLACE}:{NAME}-hub")
