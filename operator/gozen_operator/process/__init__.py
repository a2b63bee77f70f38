"""The operator process: kopf watches, work queue, controller, leadership, health and metrics."""
