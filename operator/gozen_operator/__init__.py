"""The control plane: the operator turns resources into Jobs, the observer turns Observations into exposures.

``process`` watches and acts, ``reconcile`` decides, ``index`` remembers, ``api_server`` sends requests; ``observer`` is
a process of its own; ``cli_verbs`` adds ``gozen apply`` and its like to the command. An event takes this way:
watch (`process.operator_process`), index (`index.object_index`), work queue (`process.work_queue`), controller
(`process.controller`), questions and facts (`process.kind_table`, `index.gather_facts`), reconcile, plan, API server.
"""
