"""One real model as a judge and, in a pooling server, as a classifier: they must agree."""

import asyncio
import json
import math

import pytest

from archon.engines.base import Request
from archon.engines.client import OpenAIEngine
from archon.engines.fetch import resolve
from archon.engines.pool import EnginePool
from archon.engines.pooling import PoolingEngine
from archon.engines.vllm_server import VllmServer
from archon.engines.zoo import Serving, load_zoo
from archon.ledger import Ledger
from archon.messages import Message
from weaver.verifiers import Classifier, Sample, SampledQuestion, YesNoJudge, score_samples

OVERRIDES = {
    "architectures": ["LlamaForSequenceClassification"],
    "classifier_from_token": ["No", "Yes"],
    "method": "from_2_way_softmax",
}
QUESTIONS = [
    SampledQuestion(
        (Message("user", f"What is {number} + 2?"),),
        [Sample(str(number + 2)), Sample("I like trains."), Sample(str(number + 2))],
    )
    for number in range(4)
]


@pytest.mark.vllm
def test_a_model_classifies_as_it_judges(tmp_path):
    entry = load_zoo(["smollm2-135m"])["smollm2-135m"]
    args = ("--runner", "pooling", "--hf-overrides", json.dumps(OVERRIDES))
    pooling_entry = entry.model_copy(
        update={"name": "smollm2-classifier", "serving": Serving(args=args)}
    )
    local = resolve(entry)
    with (
        VllmServer(local, entry, log_dir=tmp_path, max_num_seqs=8) as chat,
        VllmServer(local, pooling_entry, log_dir=tmp_path, max_num_seqs=8) as pooling,
        Ledger(tmp_path / "calls.db") as ledger,
    ):
        chat.wait_ready(300)
        pooling.wait_ready(300)

        async def score():
            judge = OpenAIEngine(chat.base_url, chat.model, "judge", vllm=True)
            classifier = PoolingEngine(
                pooling.base_url, pooling.model, "classifier", "classify", vllm=True
            )
            try:
                return await score_samples(
                    QUESTIONS,
                    [YesNoJudge(model="judge"), Classifier(model="classifier")],
                    pool=EnginePool({"judge": judge, "classifier": classifier}),
                    ledger=ledger,
                )
            finally:
                await judge.aclose()
                await classifier.aclose()

        scored = asyncio.run(score())
        assert [(a.judged, a.made) for a in scored.accounts] == [(8, 8)] * 2
        assert all(a.failed == a.unparsed == 0 for a in scored.accounts)
        values = scored.scores.scores
        assert ((values > 0) & (values < 1)).all()
        # The classifier knows one spelling of yes and of no.
        for question, row in zip(QUESTIONS, values, strict=True):
            verifier = YesNoJudge(model="judge")
            for sample, (_, classified) in zip(question.samples, row, strict=True):
                messages = verifier.messages(question.question, sample.text)
                request = Request("judge", messages, verifier.sampling())
                first = dict(ledger.fetch([request.key])[request.key][0].top_logprobs[0])
                judged = 1 / (1 + math.exp(first["No"] - first["Yes"]))
                assert classified == pytest.approx(judged, abs=0.05)
