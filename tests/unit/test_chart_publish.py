"""What the chart makes for publishing in Nextcloud: nothing by default; account, policy, certificates, settings.

Covered: that the operator's Jobs find all that they name, whom their pods may reach, and values that make no sense.
Not covered: a network (cluster/test_policies.py), the Jobs themselves (unit/test_reconcile_publication.py).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import helm_python as helm
import pytest
import yaml

from gozen.resources.lightcurvejob import LightCurveJob
from gozen_operator.operator_settings import OperatorSettings, load_operator_settings
from gozen_operator.reconcile.publish_manifests import publish_job

from .rendered_chart import CHART, DISK, S3, Manifest, environment, of_kind, one_of, rendered

CLOUD: Manifest = {
    "url": "https://192.0.2.20:8443/cloud", "user": "observatory", "secretName": "gozen-nextcloud",
    "caBundle": "-----BEGIN CERTIFICATE-----",
}  # fmt: skip
PAGE = CHART.parents[1] / "docs" / "how-to" / "connect-your-nextcloud.md"
TO = [{"ipBlock": {"cidr": "192.0.2.0/24"}}]


@pytest.fixture(scope="module")
def chart() -> Iterator[helm.Chart]:
    with helm.Chart.load(CHART) as loaded:
        yield loaded


@pytest.fixture
def operator_settings(chart: helm.Chart, monkeypatch: pytest.MonkeyPatch) -> Callable[..., OperatorSettings]:
    def read(values: Manifest, name: str = "gozen") -> OperatorSettings:
        for variable, value in environment(one_of(rendered(chart, values, name), "Deployment", "operator")).items():
            monkeypatch.setenv(variable, value)
        return load_operator_settings()

    return read


def job() -> LightCurveJob:
    metadata = {"name": "tonight", "namespace": "sky", "uid": "u1"}
    spec = {"selection": {"night": "20260115"}, "publish": {"folder": "M31"}}
    return LightCurveJob.model_validate({"apiVersion": "gozen.astro/v1alpha1", "metadata": metadata, "spec": spec})


def test_it_is_off_by_default(chart: helm.Chart, operator_settings: Callable[..., OperatorSettings]) -> None:
    assert not [one for one in rendered(chart, S3) if "publish" in one["metadata"]["name"]]
    assert not operator_settings(S3).publish.is_configured


@pytest.mark.parametrize("values", [S3, DISK], ids=["s3", "volume"])
@pytest.mark.parametrize("release", ["gozen", "west"])
def test_a_job_finds_all_that_it_names(
    chart: helm.Chart, operator_settings: Callable[..., OperatorSettings], values: Manifest, release: str
) -> None:
    values = values | {"nextcloud": CLOUD}
    manifests = rendered(chart, values, release)
    names = {(one["kind"], one["metadata"]["name"]) for one in manifests}
    settings = operator_settings(values, release)
    assert settings.publish.is_configured
    manifest = publish_job(job(), settings)
    pod = manifest["spec"]["template"]["spec"]
    assert ("ServiceAccount", pod["serviceAccountName"]) in names
    account = one_of(manifests, "ServiceAccount", "publish")
    assert account["automountServiceAccountToken"] is False
    maps = [one["configMap"]["name"] for one in pod["volumes"] if "configMap" in one]
    assert all(("ConfigMap", one) in names for one in maps)
    assert one_of(manifests, "ConfigMap", "nextcloud-ca")["data"] == {"ca.pem": CLOUD["caBundle"]}
    policy = one_of(manifests, "NetworkPolicy", "-publish")["spec"]
    labels = manifest["spec"]["template"]["metadata"]["labels"]
    for one in ("deny", "archive", "-publish"):
        selected = one_of(manifests, "NetworkPolicy", one)["spec"]["podSelector"]["matchLabels"]
        assert selected.items() <= labels.items()
    assert policy["egress"] == [
        {"ports": [{"protocol": "TCP", "port": 8443}], "to": [{"ipBlock": {"cidr": "192.0.2.20/32"}}]}
    ]


def test_pods_that_publish_can_have_keys_that_only_read(operator_settings: Callable[..., OperatorSettings]) -> None:
    s3 = {**S3["archive"]["s3"], "secretNames": {"publish": "few-rights"}}
    settings = operator_settings({**S3, "archive": {**S3["archive"], "s3": s3}, "nextcloud": CLOUD})
    assert (settings.publish.archive_secret, settings.pods.secret) == ("few-rights", "keys")
    times = {"operator": {"settings": {"publish": {"retry_s": 5}}}}
    assert operator_settings(S3 | {"nextcloud": CLOUD} | times).publish.retry_s == 5


@pytest.mark.parametrize(
    ("url", "network", "egress"),
    [
        ("https://cloud.example.org", {"to": TO}, ([443], TO)),
        ("https://cloud.example.org:9443/nc", {"to": TO, "ports": [443, 8080]}, ([443, 8080], TO)),
        ("https://[fd00::1]:9443", {}, ([9443], [{"ipBlock": {"cidr": "fd00::1/128"}}])),
        ("https://[fd00::1]", {}, ([443], [{"ipBlock": {"cidr": "fd00::1/128"}}])),
    ],
)
def test_where_the_nextcloud_is(chart: helm.Chart, url: str, network: Manifest, egress: Any) -> None:
    values = S3 | {"nextcloud": CLOUD | {"url": url, "network": network}}
    (rule,) = one_of(rendered(chart, values), "NetworkPolicy", "-publish")["spec"]["egress"]
    assert ([one["port"] for one in rule["ports"]], rule["to"]) == egress


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"secretName": ""}, "give nextcloud.user and nextcloud.secretName too"),
        ({"user": ""}, "give nextcloud.user and nextcloud.secretName too"),
        ({"url": "https://cloud.example.org"}, "give the addresses of your Nextcloud"),
        ({"url": "http://192.0.2.20"}, "nextcloud"),
        ({"secret": "x"}, "secret"),
    ],
)
def test_values_that_make_no_sense_are_refused(chart: helm.Chart, change: Manifest, said: str) -> None:
    with pytest.raises(Exception, match=said):
        rendered(chart, S3 | {"nextcloud": CLOUD | change})


def test_the_values_of_the_page_for_administrators_do_what_it_says(
    chart: helm.Chart, operator_settings: Callable[..., OperatorSettings]
) -> None:
    (block,) = re.findall(r'```yaml title="publish-values.yaml"\n(.*?)```', PAGE.read_text("utf-8"), re.DOTALL)
    values = S3 | yaml.safe_load(block)
    assert operator_settings(values).publish.is_configured
    (rule,) = one_of(rendered(chart, values), "NetworkPolicy", "-publish")["spec"]["egress"]
    assert rule == {"ports": [{"protocol": "TCP", "port": 443}], "to": [{"ipBlock": {"cidr": "192.0.2.20/32"}}]}


def test_settings_that_the_chart_sets_cannot_be_given(chart: helm.Chart) -> None:
    with pytest.raises(Exception, match="secret"):
        rendered(chart, S3 | {"operator": {"settings": {"publish": {"secret": "x"}}}})


def test_each_namespace_has_what_its_pods_need(chart: helm.Chart) -> None:
    manifests = rendered(chart, S3 | {"nextcloud": CLOUD, "operator": {"namespaces": ["north", "south"]}})
    for kind, name in (("ServiceAccount", "publish"), ("ConfigMap", "nextcloud-ca"), ("NetworkPolicy", "-publish")):
        assert sorted(one["metadata"]["namespace"] for one in of_kind(manifests, kind, name)) == ["north", "south"]
