"""A finished study, seen again from its ledger: no model is called."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from archon.energy import PriceList
from archon.engines.pool import ModelPool
from archon.errors import ArchonError, UsageError
from archon.ledger import Ledger
from archon.metrics import Load
from archon.pipeline import CallStore, Job
from archon.pipeline.pricing import Pricer
from archon.search.config import StudyConfig
from archon.search.evaluate import Evaluation, Evaluator
from archon.search.run import ledger_place, zoo_pool
from archon.spec import ZooModel, load_spec
from archon.tasks import SplitName, load_task


@dataclass(frozen=True, slots=True)
class StoredStudy:
    """A study whose calls are all in its ledger.

    Attributes:
        evaluator: Scores and prices specs exactly as the search did.
        identities: Zoo name → model identity.
        prefix_blocks: Model identity → tokens per prefix-cache block.
    """

    config: StudyConfig
    evaluator: Evaluator
    identities: Mapping[str, str]
    prefix_blocks: Mapping[str, int]


@contextmanager
def stored_study(
    folder: Path, *, pool: ModelPool | None = None, unsafe_code: bool = False
) -> Iterator[StoredStudy]:
    """Open the study of a results folder.

    The folder's ``manifest.json`` says which task, ledger and frozen price list it used.

    Args:
        pool: Models to use in place of the zoo's; only their identities are asked for.
        unsafe_code: Whether programs that models write run without a sandbox, as in the study.

    Raises:
        UsageError: No manifest in the folder, or no ledger where it says.
    """
    manifest = folder / "manifest.json"
    try:
        data = json.loads(manifest.read_text(encoding="utf-8"))
        config = StudyConfig.model_validate(data["config"])
        prices = PriceList.from_json(data["price_list"])
    except (OSError, ValueError, KeyError) as error:
        raise UsageError(
            f"{folder}: replaying needs the manifest.json of a results folder ({error})"
        ) from error
    task = load_task(config.task, unsafe_code=unsafe_code)
    models = pool or zoo_pool(config, unsafe_code=unsafe_code)
    place = ledger_place(config)
    if "://" not in place and not Path(place).is_file():
        raise UsageError(f"{place}: the ledger of this study is gone, so it cannot be replayed")
    identities = {name: models.identity(name) for name in config.models}
    with Ledger(place) as ledger:
        evaluator = Evaluator(
            task,
            CallStore(ledger),
            Pricer(prices, models.prefix_blocks()),
            Load(config.target.rate, prices.idle_watts),
            {
                ZooModel(zoo=name).model_dump_json(): identity
                for name, identity in identities.items()
            },
            lambda model, jobs: _refuse(jobs, programs=model == models.programs.identity),
            models.context_limits(),
            models.programs.identity,
        )
        yield StoredStudy(config, evaluator, identities, models.prefix_blocks())


def replay(
    path: Path, split: SplitName, *, pool: ModelPool | None = None, unsafe_code: bool = False
) -> Evaluation:
    """Evaluate a spec from a results folder: score and joules come out as the search saw them.

    Args:
        path: ``best.yaml`` in its results folder.
        pool: See `stored_study`.
        unsafe_code: Likewise.

    Raises:
        UsageError: See `stored_study`.
        ArchonError: The ledger lacks calls.
    """
    spec = load_spec(path)
    folder = path.resolve().parent
    with stored_study(folder, pool=pool, unsafe_code=unsafe_code) as study:
        evaluator = study.evaluator
        return evaluator.evaluate(spec, evaluator.task.splits[split])


def _refuse(jobs: Sequence[Job], *, programs: bool) -> None:
    hint = ", and programs with the same --unsafe-code or none" if programs else ""
    raise ArchonError(
        f"the ledger lacks {len(jobs)} calls of this pipeline on this split: only what a search "
        f"has drawn can be replayed{hint}"
    )
