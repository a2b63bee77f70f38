"""The pages of the platform in the browser: which data there are, and the way into a lab.

``shell`` has the common parts of all pages: log-in, languages, themes, headers, errors. ``holdings`` reads the
contents of the archive. `gozen.portal.portal_app` combines both; ``python -m gozen.portal`` runs them as a service of
JupyterHub.
"""
