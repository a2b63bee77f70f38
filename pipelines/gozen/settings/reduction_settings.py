"""Settings of a reduction: detection, photometry, astrometry, calibration, gates."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from gozen.settings.section import SettingsSection


class DetectionSettings(SettingsSection):
    """Detection of sources on the stack."""

    threshold_sigma: float = Field(
        3.0,
        gt=0,
        description="Detection threshold on the smoothed stack, in units of the noise of one pixel before smoothing",
    )
    minimum_area_px: int = Field(5, ge=1, description="Smallest number of connected pixels above the threshold")
    background_mesh_px: int = Field(
        64, ge=8, description="Size of the squares in which the background is measured, pixels"
    )


class PhotometrySettings(SettingsSection):
    """Photometry on every frame; the apertures are in the instrument profile."""

    limit_sigma: float = Field(5.0, gt=0, description="Signal-to-noise of a star at the limiting magnitude")


class MoverSettings(SettingsSection):
    """Detection of moving objects, trails and flares: sources that are on frames but not on the stack."""

    threshold_sigma: float = Field(4.0, ge=3, description="Lowest signal-to-noise of a candidate on one frame")
    maximum_rate_px: float = Field(30.0, gt=0, description="Fastest motion that is searched for, pixels per frame")
    minimum_points: int = Field(4, ge=3, description="Smallest number of frames on which a tracklet is detected")
    minimum_significance: float = Field(
        3.0, description="Lowest significance; 3: chance alone would produce 0.001 equally good tracklets in a cube"
    )
    minimum_snr: float = Field(5.0, gt=0, description="Lowest median signal-to-noise of the points of a tracklet")
    flare_significance: float = Field(
        1.5, description="Like minimum_significance, for sources that do not move and are not on the stack"
    )
    streak_snr: float = Field(10.0, gt=0, description="Lowest signal-to-noise of a trail within one frame")


class ReferenceFileSettings(SettingsSection):
    """How to read a reference catalogue that is a table file; the options of ``gozen catalog import`` are the same."""

    hdu: str | None = Field(
        None,
        description="Table in a file with several: number or EXTNAME (FITS), or number, ID or name (VOTable)",
    )
    unit: str | None = Field(
        None, description="Unit of the positions, instead of that in the file: deg, rad, arcsec, mas, or hourangle,deg"
    )
    encoding: str | None = Field(None, description="Encoding of a text file that is not UTF-8, such as latin-1")
    columns: dict[str, str] = Field(
        {},
        description='Names of the columns, if Gozen does not recognise them: {ra = "RAJ2000", dec = "DEJ2000"}',
    )
    epoch: float | None = Field(
        None, ge=1800, le=2200, description="Epoch of the positions as a Julian year, instead of that in the file"
    )


class AstrometrySettings(SettingsSection):
    """Astrometric solution (WCS) of the stack."""

    index_files: tuple[Path, ...] = Field(
        (Path("/usr/share/astrometry"),),
        description="Index files of astrometry.net, or folders with them, for blind solutions",
    )
    maximum_rms_px: float = Field(0.35, gt=0, description="Largest rms residual of the reference stars, pixels")
    minimum_stars: int = Field(6, ge=4, description="Smallest number of reference stars for a solution")
    distortion_order: int = Field(
        3, ge=1, le=5, description="Highest order of the distortion polynomial (SIP) that is tried; 1 means none"
    )


class CalibrationSettings(SettingsSection):
    """Fit of the zero point and colour term of one sensor and exposure."""

    match_radius_arcsec: float = Field(
        1.0,
        gt=0,
        description="Match radius of detections and reference stars, arcsec; at least half a pixel is used",
    )
    minimum_stars: int = Field(5, ge=1, description="Smallest number of reference stars for a zero point")
    good_frames: float = Field(
        0.8,
        gt=0,
        le=1,
        description="A star calibrates only if it is good on this fraction of frames: "
        "not saturated, not at the edge, not on a dead pixel",
    )
    clip_sigma: float = Field(
        3.0, gt=0, description="Stars that deviate from the zero point by more than this many sigma are not used"
    )


class GateSettings(SettingsSection):
    """Limits beyond which data are rejected."""

    saturated_fraction: float = Field(
        0.8, gt=0, le=1, description="Largest ratio of a raw frame's median to the saturation level"
    )
    noise_ratio: float = Field(
        3.0, gt=1, description="Largest ratio of the background noise to the noise predicted from sky and read-out"
    )
    elongation: float = Field(2.5, gt=1, description="Largest ratio of length to width of a frame's stars")
    pointing_offset_deg: float = Field(
        1.0, gt=0, description="Largest distance between the fitted position and the pointing in the header, degrees"
    )
