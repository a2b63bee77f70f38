"""The custom resources Observation, Exposure and LightCurveJob, as YAML and as the observatory's recipes.

Import the rooms: ``gozen.resources.observation``, ``.exposure``, ``.lightcurvejob``, ``.yaml``, ``.recipe``.
"""
