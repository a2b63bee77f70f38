"""Archive the raw files that a subcommand gets, with a progress bar, and print which were archived and left out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gozen.cli.stage_bar import counted
from gozen.cli.work_summary import say_left_out, say_taken_in

if TYPE_CHECKING:
    from gozen.archive.raw.exposure_record import RawExposure
    from gozen.archive.stores.open_store import Store
    from gozen.instrument.profile import Profile


def take_in_and_say(store: Store, profile: Profile, paths: Sequence[Path]) -> list[RawExposure]:
    """Archive files, and print the exposures and the files left out; errors are those of `take_in_files`."""
    from gozen.workflow.take_in_files import take_in_files

    exposures = take_in_files(store, profile, paths, progress=counted, left_out=say_left_out)
    say_taken_in(exposures)
    return exposures
