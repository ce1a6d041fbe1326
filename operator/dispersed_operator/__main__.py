"""`python -m dispersed_operator` is the command `dispersed-operator`."""

from dispersed_operator.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
