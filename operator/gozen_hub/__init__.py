"""The hub of the science platform: log-in, a namespace and a lab for each user, and the services of the platform.

`gozen_hub.configure.configure` is the whole configuration of JupyterHub, in a cluster and on one machine.
"""
