"""Options that several commands share."""

import argparse


def add_unsafe_code(parser: argparse.ArgumentParser) -> None:
    """Add ``--unsafe-code``."""
    parser.add_argument(
        "--unsafe-code",
        action="store_true",
        help="run programs that models write without a sandbox, as the user you are",
    )
