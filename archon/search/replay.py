"""Runs an exported spec over a split from the ledger: what the search saw, seen again."""

import json
from collections.abc import Sequence
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


def replay(path: Path, split: SplitName, *, pool: ModelPool | None = None) -> Evaluation:
    """Evaluate a spec from a results folder without calling a model.

    The folder's ``manifest.json`` says which task, ledger and frozen price list the search used,
    so score and joules come out exactly as the search saw them.

    Args:
        path: ``best.yaml`` in its results folder.
        pool: Models to use in place of the zoo's; only their identities are asked for.

    Raises:
        UsageError: No manifest beside the spec, or no ledger where it says.
        ArchonError: The ledger lacks calls.
    """
    spec = load_spec(path)
    manifest = path.resolve().parent / "manifest.json"
    try:
        data = json.loads(manifest.read_text(encoding="utf-8"))
        config = StudyConfig.model_validate(data["config"])
        prices = PriceList.from_json(data["price_list"])
    except (OSError, ValueError, KeyError) as error:
        raise UsageError(
            f"{path}: replaying needs the manifest.json of the results folder beside it ({error})"
        ) from error
    task = load_task(config.task)
    models = pool or zoo_pool(config)
    place = ledger_place(config)
    if "://" not in place and not Path(place).is_file():
        raise UsageError(f"{place}: the ledger of this study is gone, so it cannot be replayed")
    with Ledger(place) as ledger:
        evaluator = Evaluator(
            task,
            CallStore(ledger),
            Pricer(prices, models.prefix_blocks()),
            Load(config.target.rate, prices.idle_watts),
            {
                ref.model_dump_json(): models.identity(ref.zoo)
                for ref in spec.models.values()
                if isinstance(ref, ZooModel)
            },
            _refuse,
        )
        return evaluator.evaluate(spec, task.splits[split])


def _refuse(model: str, jobs: Sequence[Job]) -> None:  # noqa: ARG001
    raise ArchonError(
        f"the ledger lacks {len(jobs)} calls of this pipeline on this split: only what a search "
        "has drawn can be replayed"
    )
