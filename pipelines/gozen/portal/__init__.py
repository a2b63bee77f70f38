"""The pages of the platform in the browser: which data there are, and the way into a lab.

``shell`` is what all pages share: log-in, languages, themes, headers, errors. ``holdings`` is what the archive
contains. `gozen.portal.portal_app` puts them together; ``python -m gozen.portal`` runs them as a service of JupyterHub.
"""
