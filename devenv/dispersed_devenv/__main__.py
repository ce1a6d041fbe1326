"""`python -m dispersed_devenv`."""

from dispersed_devenv.cli import main

raise SystemExit(main())
