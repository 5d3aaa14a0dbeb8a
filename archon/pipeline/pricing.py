"""What calls cost by a price list: deterministic, additive, the same for every trial."""

from collections.abc import Mapping

from archon.components.state import Drawn
from archon.energy.prices import Cost, PriceList
from archon.engines.base import Completion
from archon.pipeline.walk import QueryResult


class Pricer:
    """Prices calls by a frozen price list.

    A call pays for the prompt tokens that its server did not take from the prefix cache when the
    call was made. Cache salts keep unrelated calls apart and a phase sends the first sample of
    every prompt before the second, so that what is recorded is what a pipeline that makes the
    same calls would see. Where the server does not tell, the first sample pays for its whole
    prompt and later ones for what whole blocks of the cache cannot give them. A failed attempt
    pays its prefill and its call. A program pays for its CPU time and its run, whatever came of it.

    Args:
        prices: Joules and busy seconds per token and call, by model identity, and of programs.
        prefix_blocks: Model identity → tokens per prefix-cache block, 0 for no cache.
    """

    def __init__(self, prices: PriceList, prefix_blocks: Mapping[str, int]) -> None:
        self.prices = prices
        self._blocks = prefix_blocks
        self._sums: dict[Drawn, list[Cost]] = {}  # not by key: each epoch draws its own

    def spent(self, drawn: Drawn, samples: int) -> Cost:
        """Return the cost of the first `samples` samples of a request."""
        sums = self._sums.get(drawn)
        if sums is None:
            sums = self._sums[drawn] = [Cost(0.0, 0.0)]
        if len(sums) <= samples:
            for index in range(len(sums) - 1, min(samples, len(drawn.completions))):
                cost = self.call(drawn.request.model, drawn.completions[index], again=index > 0)
                before = sums[-1]
                sums.append(Cost(before.joules + cost.joules, before.seconds + cost.seconds))
        return sums[samples]

    def call(self, model: str, completion: Completion, *, again: bool) -> Cost:
        """Return the cost of one call; `again` when its prompt was sent before.

        Raises:
            UsageError: The list has no price for it.
        """
        if completion.cpu_s is not None:
            return self.prices.program_cost(completion.cpu_s, completion.attempts)
        block = self._blocks.get(model, 0)
        prompt, reused = completion.prompt_tokens, completion.cached_tokens
        if reused is None:
            reused = (prompt - 1) // block * block if again and block and prompt else 0
        failed = completion.attempts - 1
        return self.prices.cost(
            model,
            prefill_tokens=prompt - reused + failed * prompt,
            decode_tokens=completion.completion_tokens,
            calls=completion.attempts,
        )

    def query(self, result: QueryResult) -> Cost:
        """Return the cost of all calls one query's pipeline spent."""
        joules = seconds = 0.0
        for spend in result.spent.values():
            cost = self.spent(spend.drawn, spend.samples)
            joules += cost.joules
            seconds += cost.seconds
        return Cost(joules, seconds)
