"""The search command on a scripted world, as a process to be killed or interrupted.

Usage: killable_study.py FOLDER CONF HANG. Call number HANG and all after it never come back; once
those before it are in the ledger, a line says so.
"""

import asyncio
import signal
import sys
from functools import partial
from pathlib import Path

from scripted_world import Call, Nature, World, run_study

from archon.search import command
from archon.search.config import load_config

NATURES = {"small": Nature(0.5, words=10)}


def main(folder: Path, conf: str, hang: int) -> int:
    # A test run started in the background of a shell ignores SIGINT, and so would we.
    signal.signal(signal.SIGINT, signal.default_int_handler)

    async def hook(call: Call) -> None:
        if call.number == hang:
            while world.stored() < hang - 1:
                await asyncio.sleep(0.01)
            print("hanging", flush=True)
        if call.number >= hang:
            await asyncio.Event().wait()

    world = World(folder, NATURES, hook)
    world.store_prices(load_config([f"conf={conf}"]))
    command.run_study = partial(run_study, pool=world.pool, meter=world.meter)
    return command.search_command([f"conf={conf}", "--quiet"])


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
