"""The API server that the tests start is a real one.

Covered: its version, namespaces, a custom resource with a CEL rule that accepts and refuses, tokens of service accounts
and RBAC, the message if a start fails or is impossible, and that nothing is left at the end. Not covered: pods
(`test_node`).
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .api_server import ApiServer
from .conftest import cannot_run
from .processes import Process, StartError, wait_until
from .tools import KUBERNETES

pytestmark = pytest.mark.xdist_group("api")

LENSES = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: { name: lenses.test.gozen.astro }
spec:
  group: test.gozen.astro
  scope: Namespaced
  names: { plural: lenses, singular: lens, kind: Lens }
  versions:
    - name: v1
      served: true
      storage: true
      schema:
        openAPIV3Schema:
          type: object
          properties:
            focus:
              type: integer
              x-kubernetes-validations: [{ rule: "self > 0", message: a lens has a positive focus }]
"""
LENS = """
apiVersion: test.gozen.astro/v1
kind: Lens
metadata: { name: %s }
focus: %d
"""


def test_version(api_server: ApiServer) -> None:
    said = json.loads(api_server.kubectl("version", "--output=json", check=True).stdout)
    assert said["serverVersion"]["gitVersion"] == said["clientVersion"]["gitVersion"] == f"v{KUBERNETES}"


def test_a_namespace_is_made(api_server: ApiServer) -> None:
    api_server.kubectl("create", "namespace", "observatory", check=True)
    assert "observatory" in api_server.kubectl("get", "namespaces", check=True).stdout


def test_a_custom_resource_is_accepted_and_its_rule_enforced(api_server: ApiServer) -> None:
    api_server.kubectl("apply", "-f", "-", stdin=LENSES, check=True)
    api_server.kubectl(
        "wait", "--for=condition=Established", "crd/lenses.test.gozen.astro", "--timeout=20s", check=True
    )
    api_server.kubectl("apply", "-f", "-", stdin=LENS % ("good", 5), check=True)
    refused = api_server.kubectl("apply", "-f", "-", stdin=LENS % ("bad", -5))
    assert refused.returncode == 1
    assert "a lens has a positive focus" in refused.stderr


def test_a_service_account_may_do_only_what_it_is_given(api_server: ApiServer) -> None:
    api_server.kubectl("create", "serviceaccount", "reader", check=True)
    api_server.kubectl("create", "role", "reader", "--verb=get,list", "--resource=configmaps", check=True)
    api_server.kubectl(
        "create", "rolebinding", "reader", "--role=reader", "--serviceaccount=default:reader", check=True
    )
    reader = api_server.kubeconfig_of_service_account("default", "reader")
    api_server.kubectl("get", "configmaps", kubeconfig=reader, check=True)
    refused = api_server.kubectl("get", "secrets", kubeconfig=reader)
    assert "Forbidden" in refused.stderr
    assert "system:serviceaccount:default:reader" in refused.stderr


def test_a_start_that_fails_shows_the_log_of_the_culprit(tmp_path: Path) -> None:
    culprit = Process("culprit", ["sh", "-c", "echo no such option: --speed; exit 3"], tmp_path / "culprit.log")
    with pytest.raises(StartError, match=r"culprit ended with code 3.*\n.*\nno such option: --speed"):
        wait_until(lambda: False, "nothing", 20, [culprit])


def test_waiting_has_an_end(tmp_path: Path) -> None:
    sleeper = Process("sleeper", ["sleep", "60"], tmp_path / "sleeper.log")
    with pytest.raises(StartError, match=r"the dawn: not within 0\.2 s"):
        wait_until(lambda: False, "the dawn", 0.2, [sleeper])
    sleeper.stop()
    assert not sleeper.running


def test_what_cannot_run_fails_in_ci_and_is_skipped_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="etcd is missing"):
        cannot_run("etcd is missing")
    monkeypatch.delenv("CI")
    with pytest.raises(pytest.skip.Exception, match="etcd is missing"):
        cannot_run("etcd is missing")


def test_a_second_server_starts_beside_the_first_and_leaves_nothing(api_server: ApiServer, tmp_path: Path) -> None:
    second = ApiServer(tmp_path)
    assert "Lens" not in second.kubectl("api-resources", check=True).stdout
    second.stop()
    assert second.kubectl("get", "namespaces").returncode != 0
    holding = [path for path in Path("/proc").glob("[0-9]*/cmdline") if str(tmp_path) in _text(path)]
    assert holding == []


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
