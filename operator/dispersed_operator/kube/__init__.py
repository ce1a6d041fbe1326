"""The Kubernetes API: a thin client over `kubernetes.aio`, resync and Events. It knows nothing of the remote API."""
