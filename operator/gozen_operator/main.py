"""``gozen-operator``: the process that the chart runs."""

from __future__ import annotations

import asyncio
import logging
import sys

from gozen.errors import GozenError
from gozen.settings import load_settings
from gozen.version import code_version
from gozen_operator.operator_settings import load_operator_settings

USAGE = """gozen-operator: creates Jobs for Exposures and LightCurveJobs, and writes the status of all resources.

Settings come from the environment: GOZEN_... for the archive and the instrument, as `gozen config` lists them, and
GOZEN_OPERATOR_... for the operator; docs/reference/operator.md lists these. It runs in a pod of the cluster, or on any
machine if KUBECONFIG names a kubeconfig file. `gozen-operator --version` prints the version.
"""


def main() -> None:
    """Run until SIGTERM; the exit codes are those of the ``gozen`` command."""
    if sys.argv[1:] == ["--version"]:
        print(f"gozen-operator {code_version()}")  # noqa: T201 - that is what was asked for
        sys.exit(0)
    if len(sys.argv) > 1:
        print(USAGE)  # noqa: T201 - that is what was asked for
        sys.exit(0 if sys.argv[1] in ("--help", "-h") else 64)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("kopf.objects").setLevel(logging.WARNING)  # a line for each event says nothing
    try:
        from gozen_operator.process.operator_process import serve

        logging.getLogger(__name__).info("gozen-operator %s", code_version())

        asyncio.run(serve(load_settings(), load_operator_settings()))
    except GozenError as error:
        print(f"gozen-operator: {error.name}: {error}", file=sys.stderr)  # noqa: T201 - the line that people read
        sys.exit(error.exit_code)
