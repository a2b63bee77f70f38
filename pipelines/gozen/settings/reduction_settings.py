"""Settings of a reduction: detection, photometry, astrometry, calibration, gates."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from gozen.settings.section import SettingsSection


class DetectionSettings(SettingsSection):
    """Detection of sources on the stack."""

    threshold_sigma: float = Field(
        3.0, gt=0, description="Detection threshold on the smoothed stack, in units of the noise of one pixel"
    )
    minimum_area_px: int = Field(5, ge=1, description="Connected pixels above the threshold")
    background_mesh_px: int = Field(64, ge=8, description="Mesh of the background map")


class PhotometrySettings(SettingsSection):
    """Photometry on every frame; the apertures are in the instrument profile."""

    limit_sigma: float = Field(5.0, gt=0, description="Significance of the limiting magnitude")


class MoverSettings(SettingsSection):
    """Detection of moving objects, trails and flares: sources that are on frames but not on the stack."""

    threshold_sigma: float = Field(4.0, ge=3, description="Significance of a candidate on one frame")
    maximum_rate_px: float = Field(30.0, gt=0, description="Fastest motion that is linked, pixels from frame to frame")
    minimum_points: int = Field(4, ge=3, description="Frames on which a tracklet is seen")
    minimum_significance: float = Field(
        3.0, description="Minus the decimal logarithm of the number of tracklets that chance may make in a cube"
    )
    minimum_snr: float = Field(5.0, gt=0, description="Median signal-to-noise of a tracklet's points")
    flare_significance: float = Field(1.5, description="The same for sources that do not move and are not on the stack")
    streak_snr: float = Field(10.0, gt=0, description="Signal-to-noise that a trail within one frame needs")


class ReferenceFileSettings(SettingsSection):
    """How to read a reference catalogue that is a table file; the options of ``gozen catalog import`` are the same."""

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


class AstrometrySettings(SettingsSection):
    """Astrometric solution (WCS) of the stack."""

    index_files: tuple[Path, ...] = Field(
        (Path("/usr/share/astrometry"),), description="Index files, or folders of them, for blind solutions"
    )
    maximum_rms_px: float = Field(0.35, gt=0, description="Limit on the residual of the reference stars")
    minimum_stars: int = Field(6, ge=4, description="Reference stars that a solution needs")
    distortion_order: int = Field(3, ge=1, le=5, description="Highest SIP order that is tried; 1 is none")


class CalibrationSettings(SettingsSection):
    """Fit of the zero point and colour term of one sensor and exposure."""

    match_radius_arcsec: float = Field(
        1.0, gt=0, description="Match between detections and reference stars; at least half a pixel"
    )
    minimum_stars: int = Field(5, ge=1, description="Reference stars that a zero point needs")
    good_frames: float = Field(
        0.8, gt=0, le=1, description="Part of the frames on which a star must be good to calibrate the exposure"
    )
    clip_sigma: float = Field(3.0, gt=0, description="Outliers beyond this many robust deviations are left out")


class GateSettings(SettingsSection):
    """Limits beyond which data are rejected."""

    saturated_fraction: float = Field(0.8, gt=0, le=1, description="Median of a raw frame over saturation")
    noise_ratio: float = Field(3.0, gt=1, description="Background noise over what sky and read-out predict")
    elongation: float = Field(2.5, gt=1, description="Length of a frame's stars over their width")
    pointing_offset_deg: float = Field(1.0, gt=0, description="Solution against the header's pointing")
