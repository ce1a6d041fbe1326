"""The development environment: a real Kubernetes control plane on loopback, with no container engine.

It serves demo, tests and benchmarks alike. Nothing of the operator depends on it.
"""
