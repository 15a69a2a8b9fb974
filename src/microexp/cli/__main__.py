"""``python -m microexp.cli``."""

from microexp.cli import main

main()
