"""The control plane: the operator turns resources into Jobs, the observer turns Observations into exposures.

``process`` watches and acts, ``reconcile`` decides, ``index`` remembers, ``api_server`` sends requests; ``observer`` is
a separate process; ``cli_verbs`` adds ``gozen apply`` and similar verbs to the command. An event passes in this order:
watch (`process.operator_process`), index (`index.object_index`), work queue (`process.work_queue`), controller
(`process.controller`), questions and facts (`process.kind_table`, `index.gather_facts`), reconcile, plan, API server.
"""
