"""The contract: Observation, Exposure and LightCurveJob, as YAML and in the observatory's own recipe form.

Import the rooms: ``gozen.resources.observation``, ``.exposure``, ``.lightcurvejob``, ``.yaml``, ``.recipe``.
"""
