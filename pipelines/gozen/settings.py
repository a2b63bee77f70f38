"""The one settings object: flags win over the environment (``GOZEN_...``), which wins over ``gozen.toml``.

What the camera is stands in an instrument profile, what is asked of a night in a recipe; here is what the site decides.
"""

from __future__ import annotations

import contextlib
import os
import tomllib
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from gozen.errors import BadRequest

_ABSENT = object()

_MOVED = {
    "photometry.further_diameters_px": "the apertures belong to the camera: take it out, and write "
    "aperture_diameters_px (the calibrated aperture first, such as [21, 10], or auto) into the instrument profile"
}
"""What was a setting once, and what to do about one that is still given."""

_NAMED_FILE: ContextVar[Path | None] = ContextVar("settings file", default=None)


class _Group(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DetectionSettings(_Group):
    """Sources on the stack."""

    threshold_sigma: float = Field(
        3.0, gt=0, description="Detection threshold on the smoothed stack, in units of the noise of one pixel"
    )
    minimum_area_px: int = Field(5, ge=1, description="Connected pixels above the threshold")
    background_mesh_px: int = Field(64, ge=8, description="Mesh of the background map")


class PhotometrySettings(_Group):
    """Fluxes on every frame; the apertures are the camera's, and stand in its profile."""

    limit_sigma: float = Field(5.0, gt=0, description="Significance of the limiting magnitude")


class MoverSettings(_Group):
    """What moves, and what is on frames but not on the stack."""

    threshold_sigma: float = Field(4.0, ge=3, description="Significance of a candidate on one frame")
    maximum_rate_px: float = Field(30.0, gt=0, description="Fastest motion that is linked, pixels from frame to frame")
    minimum_points: int = Field(4, ge=3, description="Frames on which a tracklet is seen")
    minimum_significance: float = Field(
        3.0, description="Minus the decimal logarithm of the number of tracklets that chance may make in a cube"
    )
    minimum_snr: float = Field(5.0, gt=0, description="Median signal-to-noise of a tracklet's points")
    flare_significance: float = Field(1.5, description="The same for sources that do not move and are not on the stack")
    streak_snr: float = Field(10.0, gt=0, description="Signal-to-noise that a trail within one frame needs")


class AstrometrySettings(_Group):
    """The WCS of a stack."""

    index_files: tuple[Path, ...] = Field(
        (Path("/usr/share/astrometry"),), description="Index files, or folders of them, for blind solutions"
    )
    maximum_rms_px: float = Field(0.35, gt=0, description="Limit on the residual of the reference stars")
    minimum_stars: int = Field(6, ge=4, description="Reference stars that a solution needs")
    distortion_order: int = Field(3, ge=1, le=5, description="Highest SIP order that is tried; 1 is none")


class ReferenceFileSettings(_Group):
    """How the reference catalogue is read where it is a table file, as by the options of ``gozen catalog import``."""

    hdu: str | None = Field(
        None, description="Table of a FITS file (number or EXTNAME) or VOTable (number, ID or name); else the one meant"
    )
    unit: str | None = Field(
        None, description="Of the positions, over what the file says: rad, arcsec, or hourangle,deg"
    )
    encoding: str | None = Field(None, description="Of a text file that is not UTF-8, as in latin-1")
    columns: dict[str, str] = Field(
        {}, description="The file's names of ra, dec, g, bp_rp and the other columns; else the usual names"
    )
    epoch: float | None = Field(
        None, ge=1800, le=2200, description="Julian year of the positions, over what the file says"
    )


class CalibrationSettings(_Group):
    """The zero magnitude and colour term of one sensor and exposure."""

    match_radius_arcsec: float = Field(
        1.0, gt=0, description="Match between detections and reference stars; at least half a pixel"
    )
    minimum_stars: int = Field(5, ge=1, description="Reference stars that a zero magnitude needs")
    good_frames: float = Field(
        0.8, gt=0, le=1, description="Part of the frames on which a star must be good to calibrate the exposure"
    )
    clip_sigma: float = Field(3.0, gt=0, description="Outliers beyond this many robust deviations are left out")


class GateSettings(_Group):
    """Limits beyond which data are rejected."""

    saturated_fraction: float = Field(0.8, gt=0, le=1, description="Median of a raw frame over saturation")
    noise_ratio: float = Field(3.0, gt=1, description="Background noise over what sky and read-out predict")
    elongation: float = Field(2.5, gt=1, description="Length of a frame's stars over their width")
    pointing_offset_deg: float = Field(1.0, gt=0, description="Solution against the header's pointing")


class StorageSettings(_Group):
    """How an archive on S3 is reached; credentials come from the environment, as for every S3 client."""

    endpoint_url: str | None = Field(
        None, pattern=r"^https?://[^/@\s]+/?$", description="Address of the S3 server; without it Amazon's"
    )
    region: str | None = Field(
        None,
        description="Region of the bucket; without it what AWS_REGION says, then AWS_DEFAULT_REGION, then the profile",
    )
    addressing: Literal["auto", "path", "virtual"] = Field(
        "auto", description="Where the bucket's name stands: in the path, or before the host's name"
    )
    connect_timeout_s: float = Field(5.0, gt=0, description="Seconds until a server that does not answer is given up")
    read_timeout_s: float = Field(60.0, gt=0, description="Seconds without a byte that end a request")
    attempts: int = Field(5, ge=1, description="Times that a request is made before the storage counts as away")


class WatchSettings(_Group):
    """The folder into which a camera writes (``gozen watch``)."""

    interval_s: float = Field(0.5, gt=0, description="Seconds between two looks into the folder")
    patience_s: float = Field(60.0, ge=0, description="Seconds without growth that make a short file a broken one")
    settle_s: float = Field(30.0, ge=0, description="Seconds without a file that end an exposure of single frames")
    queue_length: int = Field(168, ge=1, description="Sensor exposures in the archive that wait to be reduced")
    express: tuple[str, ...] = Field((), description="Objects that go first, as patterns with * and ?")
    append_exposures: int = Field(1, ge=1, description="Exposures that are appended to the table in one step")
    publish_share: float = Field(0.2, gt=0, le=1, description="Largest share of one worker for table and log")
    report_s: float = Field(10.0, gt=0, description="Seconds between two reports on the queue")
    warn_s: float = Field(3600.0, ge=0, description="Warning time before the room for raw data is used up")
    raw_limit_gb: float | None = Field(
        None, gt=0, description="Room for raw data that are not reduced yet; without it what is free on the disk"
    )


class ObservatorySettings(_Group):
    """The telescope and the camera that the observer drives; what the simulated ones do."""

    driver: str = Field("simulated", description="Name of an entry point of the group gozen.drivers")
    options: dict[str, str] = Field({}, description="What a driver of another package asks for")
    move_timeout_s: float = Field(300.0, gt=0, description="Seconds after which a device that still moves has failed")
    first_exposure_id: int = Field(1, ge=1, le=99_999_999, description="Lowest EXP_ID that is given")
    seed: int = Field(1, description="Of the simulated sky; an archive holds one sky")
    speed_up: float = Field(1.0, gt=0, description="How many times faster than real the simulated devices are")
    events: bool = Field(False, description="Whether each simulated exposure of the sky sees a flare, movers and more")
    dome_open: bool = Field(True, description="Whether the slit of the simulated dome is open at the start")
    faults: tuple[str, ...] = Field(
        (), description="Simulated verbs that fail, such as focuser.move, or camera.expose@2 for the second time only"
    )


class ObserverSettings(_Group):
    """The process that executes Observations (``gozen-observer``)."""

    name: str = Field(
        "observer",
        pattern=r"^[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?$",
        description="Name under which it claims Observations; one for each telescope",
    )
    namespace: str = Field("default", description="Namespace of the Observations")
    interval_s: float = Field(2.0, gt=0, description="Seconds between two looks at the cluster and the devices")
    claim_s: float = Field(120.0, gt=0, description="Seconds of silence after which another observer may take over")
    attempts: int = Field(3, ge=1, le=99, description="Times that an interrupted exposure is begun, under new EXP_IDs")
    grace_s: float = Field(20.0, ge=0, description="Seconds that an exposure may still take after SIGTERM")


class QuickDBSettings(_Group):
    """User Python next to the data (``gozen.quickdb``)."""

    rerun: str | None = Field(None, description="Release that a job reads where it names none; without it live tables")
    engine: str = Field("local", description="local, dask, or the address of a Dask scheduler, as tcp://host:8786")
    isolate: bool = Field(False, description="Whether functions run apart, without network, files and credentials")
    memory_mb: int = Field(2048, gt=0, description="Memory of a function that runs apart")
    seconds: float = Field(60.0, gt=0, description="Time of a block of patches of a function that runs apart")
    result_mb: int = Field(256, gt=0, description="Size of the result of a block of a function that runs apart")
    sql_seconds: float = Field(60.0, gt=0, description="Time of a query in SQL")
    sql_memory_mb: int = Field(2048, gt=0, description="Memory of a query in SQL, and of its answer")
    sql_rows: int = Field(10_000_000, gt=0, description="Rows of the answer to a query in SQL")
    cache: Path = Field(Path("~/.cache/gozen/quickdb"), description="Folder of results that are kept")
    cache_mb: int = Field(1024, ge=0, description="Size of that folder; 0 keeps nothing")


class Settings(BaseSettings):
    """Everything that a site decides, printed by ``gozen config``."""

    model_config = SettingsConfigDict(env_prefix="GOZEN_", env_nested_delimiter="__", extra="forbid", frozen=True)

    archive: str = Field("archive", description="Root of the archive: a directory or any fsspec URL")
    instrument: str = Field("tomoe", description="A profile that ships, or the path of a profile")
    reference: str | None = Field(
        None, description="Reference catalogue: a table file, or the name of a collection in the archive"
    )
    reference_file: ReferenceFileSettings = ReferenceFileSettings()
    run: str = Field("r1", pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$", description="Name of this processing")
    workers: int = Field(default_factory=lambda: os.cpu_count() or 1, ge=1, description="Worker processes")
    block_list: Path | None = Field(None, description="YAML list of what must not be archived")
    raw_url_prefixes: tuple[str, ...] = Field(
        (), description="URLs under which an Exposure's rawURL may name raw data outside the archive; none allow none"
    )
    keep_raw_days: float = Field(7.0, ge=0, description="Days that raw files stay after their night, once reduced")
    image_digest: str = Field("", description="Digest of the container image, kept in the provenance")
    detection: DetectionSettings = DetectionSettings()
    photometry: PhotometrySettings = PhotometrySettings()
    movers: MoverSettings = MoverSettings()
    astrometry: AstrometrySettings = AstrometrySettings()
    calibration: CalibrationSettings = CalibrationSettings()
    gates: GateSettings = GateSettings()
    watch: WatchSettings = WatchSettings()
    observatory: ObservatorySettings = ObservatorySettings()
    observer: ObserverSettings = ObserverSettings()
    quickdb: QuickDBSettings = QuickDBSettings()
    storage: StorageSettings = StorageSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags win over the environment, which wins over the file."""
        return init_settings, env_settings, _TomlFile(settings_cls)


class _TomlFile(PydanticBaseSettingsSource):
    """``gozen.toml`` in the working directory, or the file that ``GOZEN_CONFIG`` names."""

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        raise NotImplementedError  # the whole file is read at once, below

    def __call__(self) -> dict[str, Any]:
        path = config_file()
        if path is None:
            return {}
        try:
            return tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise BadRequest(f"cannot read the settings file {path}: {error}") from error


def config_file() -> Path | None:
    """Return the settings file that is in force, or None."""
    named = _NAMED_FILE.get() or os.environ.get("GOZEN_CONFIG")
    path = Path(named) if named else Path("gozen.toml")
    return path if named or path.is_file() else None


@contextlib.contextmanager
def settings_file(path: Path | None) -> Iterator[None]:
    """Make a file the settings file for a while, before ``GOZEN_CONFIG``; None changes nothing."""
    token = _NAMED_FILE.set(path or _NAMED_FILE.get())
    try:
        yield
    finally:
        _NAMED_FILE.reset(token)


def load_settings(**flags: Any) -> Settings:
    """Read the settings; flags that are None count as not given.

    Raises
    ------
    BadRequest
        A setting is unknown or out of range; the message names it, its value and what is allowed.
    """
    given = {name: value for name, value in flags.items() if value is not None}
    try:
        return Settings(**given)
    except ValidationError as error:
        raise BadRequest(_explain(error)) from error
    except SettingsError as error:
        cause = f" ({error.__cause__})" if error.__cause__ else ""
        raise BadRequest(f"{error}{cause}; lists and groups are written as JSON in the environment") from error


@dataclass(frozen=True)
class Setting:
    """One setting in force.

    Parameters
    ----------
    name
        With dots between group and setting, as in ``gates.noise_ratio``.
    source
        ``flag``, ``environment``, the settings file, or ``default``.
    """

    name: str
    value: Any
    source: str
    meaning: str


def explain_settings(**flags: Any) -> list[Setting]:
    """Return every setting with its value and where it comes from; raises as `load_settings`."""
    values = load_settings(**flags).model_dump(mode="json")
    given = {name: value for name, value in flags.items() if value is not None}
    layers = (
        ("flag", given),
        ("environment", EnvSettingsSource(Settings)()),
        (str(config_file()), _TomlFile(Settings)()),
    )
    found = []
    for path, field in _fields(Settings):
        source = next((name for name, layer in layers if _at(layer, path) is not _ABSENT), "default")
        found.append(Setting(".".join(path), _at(values, path), source, field.description or ""))
    return found


def _fields(model: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], FieldInfo]]:
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, _Group):
            yield from _fields(field.annotation, (*path, name))
        else:
            yield (*path, name), field


def _at(layer: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        if not isinstance(layer, dict) or name not in layer:
            return _ABSENT
        layer = layer[name]
    return layer


def _explain(error: ValidationError) -> str:
    lines = []
    for problem in error.errors():
        name = ".".join(str(part) for part in problem["loc"])
        if name in _MOVED:
            lines.append(f"{name} is no setting any more: {_MOVED[name]}")
        elif problem["type"] == "extra_forbidden":
            lines.append(f"unknown setting {name!r}; `gozen config` lists all of them")
        else:
            lines.append(f"setting {name} = {problem['input']!r}: {problem['msg']}")
    return "; ".join(lines)
