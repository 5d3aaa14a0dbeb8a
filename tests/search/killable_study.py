"""The search command on a scripted world, as a process to be killed or interrupted.

Usage: killable_study.py FOLDER CONF HANG. Every call asked of an engine is printed as one line
``number seed``; call number HANG says so and never comes back.
"""

import asyncio
import sys
from functools import partial
from pathlib import Path

from scripted_world import Call, Nature, World, run_study

from archon.search import command
from archon.search.config import load_config

NATURES = {"small": Nature(0.5, words=10), "big": Nature(1.0, words=150)}


def main(folder: Path, conf: str, hang: int) -> int:
    async def hook(call: Call) -> None:
        print(call.number, call.seed, flush=True)
        if call.number >= hang:
            await asyncio.Event().wait()

    world = World(folder, NATURES, hook)
    world.store_prices(load_config([f"conf={conf}"]))
    command.run_study = partial(run_study, pool=world.pool, meter=world.meter)
    return command.search_command([f"conf={conf}", "--quiet"])


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
