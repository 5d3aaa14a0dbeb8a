"""``python -m archon.search conf=NAME [key=value …]``: the same as ``archon search``."""

import sys

from archon.search.command import search_command

if __name__ == "__main__":
    sys.exit(search_command(sys.argv[1:]))
