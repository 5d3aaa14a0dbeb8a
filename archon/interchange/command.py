"""``archon import`` and ``archon export``: files in, files out, what changed on stderr."""

import argparse
import sys
from pathlib import Path

from archon.errors import UsageError
from archon.interchange.exporting import export_config
from archon.interchange.importing import import_config
from archon.interchange.notes import Notes
from archon.interchange.providers import parse_override, whole_zoo
from archon.spec import AnyModel, load_spec, parse_spec
from weaver.output import replacing

_IMPORT_EXAMPLES = """examples:
  archon import MoA.json -o moa.yaml
  archon import archon-vllm-example.json --model facebook/opt-125m=zoo:smollm2-135m
  archon import best.json --model gpt-4o=http://127.0.0.1:8000/v1#my-model

A model comes from its provider's public endpoint, a vLLM one from the zoo by its hub id; --model
says otherwise. Whatever is not taken as it stands is told in a note on stderr.
"""
_EXPORT_EXAMPLES = """examples:
  archon export --archon best.yaml -o best.json

What the published language cannot say (votes, weavers, cascades, thresholds, prompt styles, ...)
is refused with its place.
"""


def add_import(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``archon import`` to a program's commands; its action is left in ``act``."""
    parser = commands.add_parser(
        "import",
        help="make a spec of a published Archon configuration",
        description="Make a pipeline spec of a configuration of the published Archon program.",
        epilog=_IMPORT_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="published configuration (JSON)")
    parser.add_argument(
        "-o", "--output", type=Path, metavar="SPEC", help="file to write (default: stdout)"
    )
    parser.add_argument(
        "--model",
        action="append",
        default=[],
        metavar="NAME=MODEL",
        help="what stands for the published model NAME: zoo:ENTRY or URL#MODEL (repeatable)",
    )
    _add_zoo(parser)
    parser.set_defaults(act=_import)


def add_export(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``archon export`` to a program's commands; its action is left in ``act``."""
    parser = commands.add_parser(
        "export",
        help="write a spec as a published Archon configuration",
        description="Write a pipeline spec in the language of another program.",
        epilog=_EXPORT_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--archon",
        type=Path,
        metavar="SPEC",
        required=True,
        help="pipeline to write as a configuration of the published Archon program",
    )
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="file to write (default: stdout)"
    )
    _add_zoo(parser)
    parser.set_defaults(act=_export)


def _add_zoo(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--zoo", type=Path, action="append", default=[], help="folder of further zoo files"
    )


def _import(args: argparse.Namespace) -> int:
    zoo = whole_zoo(args.zoo)
    models: dict[str, AnyModel] = {}
    for text in args.model:
        name, model = parse_override(text, zoo)
        if models.setdefault(name, model) != model:
            raise UsageError(f"--model {text}: says another model for {name} than before")
    try:
        text = args.file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise UsageError(f"{args.file}: cannot be read ({reason})") from error
    spec, notes = import_config(text, str(args.file), models=models, zoo=zoo)
    written = spec.to_yaml()
    parse_spec(written, f"{args.file}, imported")
    _write(written, args.output, notes, ".yaml", ".yml")
    return 0


def _export(args: argparse.Namespace) -> int:
    text, notes = export_config(load_spec(args.archon), str(args.archon), zoo=whole_zoo(args.zoo))
    _write(text, args.output, notes, ".json")
    return 0


def _write(text: str, path: Path | None, notes: Notes, *endings: str) -> None:
    """Write to a file, whole or not at all, or to stdout; the notes to stderr."""
    if path is not None:
        with replacing(path, *endings) as draft:
            draft.write_text(text, encoding="utf-8")
    for line in notes.lines():
        print(f"note: {line}", file=sys.stderr)
    print(path if path is not None else text, end="\n" if path is not None else "")
