"""What is said: resources, remote objects, names and lifecycle. No I/O, no clock, no framework."""
