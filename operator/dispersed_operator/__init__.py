"""Run GPU jobs on the Dispersed network from Kubernetes resources: never created twice, never leaked."""

__version__ = "0.1.0"
