"""``gozen-observer``: start the observer process; SIGTERM stops it cleanly."""

from __future__ import annotations

import argparse
import logging
import secrets
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from gozen.errors import BadRequest, ClusterUnavailable, ExitCode, StorageUnavailable, as_gozen_error
from gozen.settings import load_settings
from gozen.version import code_version
from gozen_operator.api_server.responses import retry_after_s
from gozen_operator.observer.observer_loop import Observer
from gozen_operator.observer.observing_site import ObservingSite

if TYPE_CHECKING:
    from gozen_operator.api_server.connection import ApiConnection

log = logging.getLogger(__name__)

_LONGEST_PAUSE_S = 60.0
_TICK_S = 0.2
_LATE_S = 10.0


@dataclass(frozen=True)
class ObserverClock:
    """The clock of the observer: the present time in UTC, and a pause of some seconds; tests give another clock."""

    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    sleep: Callable[[float], None] = time.sleep


class Ending:
    """Whether the process has received SIGTERM or SIGINT."""

    def __init__(self) -> None:
        self.told = False

    def install(self) -> None:
        """Install the signal handlers."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._tell)

    def _tell(self, number: int, frame: object) -> None:
        log.info("signal %s: no further step is started", signal.Signals(number).name)
        self.told = True


def run(observer: Observer, ending: Ending, grace_s: float, clock: ObserverClock | None = None) -> None:
    """Run the observer until a signal has arrived and no Observation is in execution.

    Parameters
    ----------
    grace_s
        Seconds that the end may take; after that the process ends, and the next one continues from the archive.
    """
    clock = clock or ObserverClock()
    trouble, ends = 0, None
    while not (ending.told and observer.idle):
        now = clock.now()
        if ending.told:
            ends = ends or now.timestamp() + grace_s + _LATE_S
            if now.timestamp() > ends:
                log.warning(
                    "the last step has not ended in time; this process ends, and the next observer process continues"
                )
                return
        try:
            pause_s = observer.turn(now, stopping=ending.told)
            trouble = 0
        except (ClusterUnavailable, StorageUnavailable) as error:
            trouble += 1
            # The inner bound: 2.0 ** 1024 raises OverflowError, which would end the observer during a long outage.
            pause_s = max(min(_LONGEST_PAUSE_S, 2.0 ** min(trouble, 10)), retry_after_s(error))
            log.warning("%s: %s; tried again in %.0f s", error.name, error, pause_s)
        _rest(pause_s, ending, clock)


def _rest(pause_s: float, ending: Ending, clock: ObserverClock) -> None:
    """Sleep, but wake at a signal."""
    began_told = ending.told
    left = min(pause_s, 1.0) if began_told else pause_s
    while left > 0 and ending.told == began_told:
        clock.sleep(min(left, _TICK_S))
        left -= _TICK_S


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and exit with one of `gozen.errors.ExitCode`."""
    words = _parser().parse_args(arguments)
    if words.version:
        sys.stdout.write(f"gozen-observer {code_version()}\n")
        sys.exit(ExitCode.DONE)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for name in ("gozen", "gozen_operator"):
        logging.getLogger(name).setLevel(logging.DEBUG if words.debug else logging.INFO)
    try:
        _observe(words)
    except Exception as error:
        known = as_gozen_error(error)
        log.debug("", exc_info=error)
        sys.stderr.write(f"gozen-observer: {known.name}: {' '.join(str(known).split())}\n")
        sys.exit(known.exit_code)
    sys.exit(ExitCode.DONE)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="gozen-observer",
        description="Claim the accepted Observation that is next, execute its steps with the telescope and the camera "
        "of the site, and create its Exposures. It may be killed at any moment: a restarted observer "
        "continues, and never takes two exposures under one number.",
        epilog="Settings: the groups `observer` and `observatory` of gozen.toml or the environment, such as "
        "GOZEN_OBSERVATORY__DRIVER=simulated; `gozen config` lists all of them.",
    )
    parser.add_argument("--archive", help="root of the archive: a folder, or an address such as s3://bucket/folder")
    parser.add_argument("--instrument", help="instrument profile: a name from `gozen instrument list`, or a path")
    parser.add_argument("--namespace", help="namespace of the Observations; overrides the setting observer.namespace")
    parser.add_argument(
        "--name", help="name for claims of Observations, a different one for each telescope; overrides observer.name"
    )
    parser.add_argument(
        "--kubeconfig", help="kubeconfig file for the cluster; default: ~/.kube/config, or in a pod its service account"
    )
    parser.add_argument("--debug", action="store_true", help="print more messages, and the traceback of an error")
    parser.add_argument("--version", action="store_true", help="print the version")
    return parser


def _observe(words: argparse.Namespace) -> None:
    from gozen.archive.stores.open_store import open_archive
    from gozen.instrument.profile import load_profile
    from gozen.observing.device_drivers import load_observatory
    from gozen_operator.observer.cluster_requests import KubernetesCluster

    flags: dict[str, Any] = {"archive": words.archive, "instrument": words.instrument}
    said = {name: value for name in ("namespace", "name") if (value := getattr(words, name)) is not None}
    settings = load_settings(**flags, observer=said or None)
    limits = settings.observer
    profile, store = load_profile(settings.instrument), open_archive(settings)
    observatory = load_observatory(settings, profile, store)
    cluster = KubernetesCluster(_connection(words.kubeconfig), limits.namespace)
    ending = Ending()
    ending.install()
    # A later process sorts after this one, unless the clock was set back: then it waits until the old claim expires.
    session = f"{datetime.now(UTC):%Y%m%dT%H%M%S.%f}-{secrets.token_hex(4)}"
    what = limits.name, limits.namespace, settings.observatory.driver, code_version()
    log.info("%s observes for namespace %s with %s; gozen %s", *what)
    site = ObservingSite(cluster, store, observatory, profile, settings, session)
    run(Observer(site), ending, limits.grace_s)
    log.info("%s has ended", limits.name)


def _connection(kubeconfig: str | None) -> ApiConnection:
    from kubernetes import client, config

    from gozen_operator.api_server.connection import ApiConnection

    try:
        if kubeconfig is not None:
            config.load_kube_config(kubeconfig)
        else:
            config.load_config()
    except (config.ConfigException, OSError) as error:
        raise BadRequest(
            f"no cluster is configured: {error}; give --kubeconfig, or run in a pod of the cluster"
        ) from error
    return ApiConnection(client.ApiClient())
