"""What an experiment on real models runs on: servers, meter, ledger, a way to make calls."""

import asyncio
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from archon.energy import Basis, Meter, Recorder, basis_of, open_meter
from archon.engines.pool import ModelPool
from archon.ledger import Ledger
from archon.progress import Progress
from archon.search.config import StudyConfig
from archon.search.generate import Generator
from archon.search.run import zoo_pool


@dataclass(frozen=True, slots=True)
class Rig:
    """The parts, open.

    Attributes:
        identities: Zoo name → model identity.
    """

    pool: ModelPool
    basis: Basis
    generator: Generator
    identities: Mapping[str, str]


@contextmanager
def open_rig(
    config: StudyConfig,
    folder: Path,
    progress: Progress,
    *,
    pool: ModelPool | None = None,
    meter: Meter | None = None,
) -> Iterator[Rig]:
    """Open what a study of this configuration would run on; all of it is closed at the end.

    Args:
        config: Its models, its load, its energy section and the study's name are used.
        folder: Where the ledger goes.
        progress: Told what the servers do.
        pool: Models to use in place of the zoo's.
        meter: Meter to use in place of the machine's.

    Raises:
        UsageError: A model is unknown, or no energy can be read.
    """
    with ExitStack() as stack:
        ledger = stack.enter_context(Ledger(folder / "ledger.sqlite"))
        models = pool or zoo_pool(config, progress.say)
        stack.callback(models.close)
        meter = meter or open_meter(config.energy.meter, coefficients=config.energy.coefficients)
        stack.callback(meter.close)
        basis = basis_of(meter, config.energy.basis)
        basis.require_readable(meter)
        runner = stack.enter_context(asyncio.Runner())
        stack.callback(lambda: runner.run(models.aclose()))

        def own_pids() -> list[int]:
            return [os.getpid(), *models.pids()]  # the client here works too

        generator = Generator(
            study=config.study.name,
            pool=models,
            ledger=ledger,
            recorder=Recorder(meter, basis, own_pids=own_pids),
            runner=runner,
            concurrency=config.target.concurrency,
        )
        identities = {name: models.identity(name) for name in config.models}
        yield Rig(models, basis, generator, identities)
