"""Which model a published configuration means, and how it would name one of ours."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from archon.engines.zoo import PACKAGED_MODELS, HubSource, Zoo, load_zoo
from archon.errors import UsageError
from archon.spec import AnyModel, EndpointModel, ZooModel

PROVIDERS: Mapping[str, tuple[str, str]] = {
    "Together_API": ("https://api.together.xyz/v1", "TOGETHER_API_KEY"),
    "OpenAI_API": ("https://api.openai.com/v1", "OPENAI_API_KEY"),
    "Anthropic_API": ("https://api.anthropic.com/v1", "ANTHROPIC_API_KEY"),
    "Groq_API": ("https://api.groq.com/openai/v1", "GROQ_API_KEY"),
    "Google_API": (
        "https://generativelanguage.googleapis.com/v1beta/openai",
        "GOOGLE_API_KEY",
    ),
}
"""Published ``model_type`` → public OpenAI-compatible endpoint and the variable of its key."""

PAIRRM = "llm-blender/PairRM"
"""A pairwise reward model that the published ranker loads by this name, whatever its type."""

_LOCAL = "vLLM"
_TGI = "tgi"
_URL = r"https?://\S+"


def whole_zoo(folders: Sequence[Path]) -> Zoo:
    """Return every packaged model and every one in `folders`."""
    names = {path.stem for folder in (PACKAGED_MODELS, *folders) for path in folder.glob("*.yaml")}
    return load_zoo(sorted(names), folders)


def parse_override(text: str, zoo: Zoo) -> tuple[str, AnyModel]:
    """Return published name and model of ``NAME=zoo:ENTRY`` or ``NAME=URL#MODEL``.

    Raises:
        UsageError: It is neither, or the zoo has no such entry.
    """
    name, mark, target = text.partition("=")
    if name and target.startswith("zoo:"):
        entry = target.removeprefix("zoo:")
        if entry not in zoo:
            raise UsageError(f"--model {text}: no zoo entry {entry!r}; there are: {', '.join(zoo)}")
        return name, ZooModel(zoo=entry)
    url, hash_mark, model = target.partition("#")
    if not (name and mark and re.fullmatch(_URL, url) and hash_mark and model):
        raise UsageError(f"--model {text}: give NAME=zoo:ENTRY or NAME=URL#MODEL")
    keys = dict(PROVIDERS.values())
    return name, EndpointModel(base_url=url, model=model, api_key_env=keys.get(url))


class Models:
    """The models a configuration names, gathered under aliases.

    Args:
        overrides: Published name → model that stands for it.
        zoo: Where local models are looked up by their hub id.

    Attributes:
        found: Alias → model, in the order in which they were first named.
    """

    def __init__(self, overrides: Mapping[str, AnyModel], zoo: Zoo) -> None:
        self.found: dict[str, AnyModel] = {}
        self._overrides = overrides
        self._zoo = zoo
        self._named: dict[str, None] = {}

    def alias(self, name: str, provider: object, where: str) -> str:
        """Return the alias of a published model.

        Args:
            name: Its ``model``.
            provider: Its ``model_type``; None where the key is missing.
            where: Named in errors: file and place.

        Raises:
            UsageError: Nothing here serves such a model; names the option that says what does.
        """
        self._named[name] = None
        model = self._overrides.get(name) or self._published(name, provider, where)
        for alias, known in self.found.items():
            if known == model:
                return alias
        target = model.zoo if isinstance(model, ZooModel) else model.model
        stem = target.rsplit("/", 1)[-1] or "model"
        alias, number = stem, 1
        while alias in self.found:
            number += 1
            alias = f"{stem}-{number}"
        self.found[alias] = model
        return alias

    def require_used(self, where: str) -> None:
        """Raise `UsageError` where an override names a model the file does not have."""
        for name in self._overrides:
            if name not in self._named:
                there = ", ".join(self._named) or "none"
                raise UsageError(f"--model {name}: {where} names no such model; it has: {there}")

    def _published(self, name: str, provider: object, where: str) -> AnyModel:
        option = f"say what stands for it: --model {name}=zoo:ENTRY or --model {name}=URL#MODEL"
        if name == PAIRRM:
            raise UsageError(f"{where}: PairRM is a reward model that is not served here; {option}")
        if isinstance(provider, str) and provider in PROVIDERS:
            url, key = PROVIDERS[provider]
            return EndpointModel(base_url=url, model=name, api_key_env=key)
        if provider == _TGI:
            if not re.fullmatch(_URL, name):
                raise UsageError(f"{where}: the model of a tgi server is its URL; {option}")
            return EndpointModel(base_url=name, model=_TGI)
        if provider == _LOCAL:
            entries = entries_of(name, self._zoo)
            if len(entries) == 1:
                return ZooModel(zoo=entries[0])
            many = f"zoo entries of it are {', '.join(entries)}" if entries else "not in the zoo"
            raise UsageError(f"{where}: {many}; {option}")
        if provider is None:
            raise UsageError(f"{where}: model_type is missing; {option}")
        raise UsageError(f"{where}: no public endpoint is known for {provider!r}; {option}")


def entries_of(hub: str, zoo: Zoo) -> list[str]:
    """Return the zoo entries that chat with these weights of the hub."""
    return [name for name in zoo if hub == _hub(name, zoo) and zoo[name].endpoint == "chat"]


def _hub(name: str, zoo: Zoo) -> str | None:
    sources = zoo[name].sources
    return next((source.hub for source in sources if isinstance(source, HubSource)), None)


def published_name(model: AnyModel, zoo: Zoo, where: str) -> tuple[str, str]:
    """Return ``model`` and ``model_type`` by which the published language names a model.

    Raises:
        UsageError: It cannot, or the name would come back as another model.
    """
    if isinstance(model, ZooModel):
        if model.zoo not in zoo:
            raise UsageError(f"{where}: no zoo entry {model.zoo!r}; name its folder with --zoo")
        hub = _hub(model.zoo, zoo)
        if hub is None:
            raise UsageError(f"{where}: zoo entry {model.zoo} has no hub id to name it by")
        if entries_of(hub, zoo) != [model.zoo]:
            raise UsageError(f"{where}: {hub} does not name the zoo entry {model.zoo} alone")
        return hub, _LOCAL
    for provider, place in PROVIDERS.items():
        if (model.base_url, model.api_key_env) == place:
            return model.model, provider
    keyless = model.api_key_env is None
    if keyless and model.model == _TGI and re.fullmatch(_URL, model.base_url):
        return model.base_url, _TGI
    key = f" with the key {model.api_key_env}" if model.api_key_env else ""
    raise UsageError(
        f"{where}: the published language has no name for {model.base_url}{key}; "
        f"it has {', '.join(PROVIDERS)} with their own keys, {_TGI} and {_LOCAL}"
    )
