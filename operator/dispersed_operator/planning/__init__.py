"""What is decided: pure functions from (resource, facts, policy) to one next step. No I/O, no clock, no randomness."""
