"""The custom resources Observation, Exposure and LightCurveJob, as YAML and as the observatory's recipes.

Import the modules: ``gozen.resources.observation``, ``.exposure``, ``.lightcurvejob``, ``.yaml_resources``,
``.observatory_recipe``.
"""
