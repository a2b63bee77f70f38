"""The input and the result of a sensor's reduction, as plain values that are sent to and from worker processes."""

from __future__ import annotations

from dataclasses import dataclass, field

from gozen.archive.commit import SensorCommit
from gozen.archive.keys import Processing
from gozen.archive.provenance import ReferenceUsed
from gozen.archive.raw.external_raw import open_outside
from gozen.archive.stores.open_store import Store
from gozen.catalog.reference.reference_catalog import StarSource
from gozen.errors import ExitCode, GozenError
from gozen.instrument.profile import Profile
from gozen.reduction.buffers import Workspace
from gozen.settings import Settings


@dataclass(frozen=True)
class SensorWork:
    """The reduction of one sensor's exposure.

    Parameters
    ----------
    raw
        Keys of its raw files: one cube, or a file for each frame.
    pipelines
        Pipelines to run; if empty, the ones that the header names, else the profile's default.
    object
        Name of the target, used only if the header cannot be read.
    recipe_name, recipe
        Name and text of the recipe, for the provenance.
    raw_root
        URL of the folder of the raw files, if they are not in the archive.
    """

    processing: Processing
    sensor: str
    raw: tuple[str, ...]
    pipelines: tuple[str, ...] = ()
    object: str = ""
    recipe_name: str = ""
    recipe: str = ""
    retain_raw: bool = False
    raw_root: str | None = None

    @property
    def raw_here(self) -> tuple[str, ...]:
        """Keys of the raw files that are in the archive."""
        return self.raw if self.raw_root is None else ()


@dataclass(frozen=True)
class SharedInputs:
    """The inputs that all reductions in a process share.

    Parameters
    ----------
    reference
        The reference catalogue, or None.
    reference_used
        Name and digest of the reference catalogue.
    workspace
        Memory for the cube that is being reduced.
    """

    store: Store
    profile: Profile
    settings: Settings
    reference: StarSource | None = None
    reference_used: ReferenceUsed | None = None
    workspace: Workspace = field(default_factory=Workspace, compare=False)

    def raw_store(self, root: str | None) -> Store:
        """Return the store of raw files: the archive, or an external folder that the settings allow."""
        return self.store if root is None else open_outside(root, self.settings)


@dataclass(frozen=True)
class SensorResult:
    """The result of one sensor: a commit, or the error that prevented it.

    Parameters
    ----------
    skipped
        Whether nothing was done because the sensor was committed before.
    """

    work: SensorWork
    commit: SensorCommit | None
    error: GozenError | None = None
    skipped: bool = False

    @property
    def exit_code(self) -> ExitCode:
        """Exit code of the error; 0 without an error, and also for a rejection, which is a result."""
        return self.error.exit_code if self.error else ExitCode.DONE
