"""A faithful, faulty stand-in for the Dispersed compute API, served over real HTTP.

It exists so that tests, the demo and the benchmarks can drive a client against a service that checks signatures, bills
jobs and misbehaves on request. It shares no code with the operator: both are written from the API reference, so that
they can contradict each other.
"""

__version__ = "0.1.0"
