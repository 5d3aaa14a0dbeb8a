"""The commands: files in, files out, notes on stderr, one line and status 2 for bad input."""

import json

import pytest
import yaml
from published_parts import bare, config, written

from archon.cli import main
from archon.spec import load_spec

GOOD = config([bare("generator", samples=3)], [bare("ranker", temperature=0.7, top_k=1)])
NOTE = "note: layers[1][0]: temperature: 0.7 left out: a ranker decides at temperature 0 here\n"


def one_line(capsys, *arguments):
    """Run a command that is refused; return what it said."""
    assert main([str(argument) for argument in arguments]) == 2
    out, said = capsys.readouterr()
    assert out == ""
    assert said.count("\n") == 1
    assert said.startswith(f"archon {arguments[0]}: ")
    return said.removeprefix(f"archon {arguments[0]}: ").removesuffix("\n")


def test_import_prints_a_spec_that_loads_and_notes_what_it_changed(tmp_path, capsys):
    assert main(["import", written(tmp_path / "a.json", GOOD)]) == 0
    out, said = capsys.readouterr()
    assert load_spec(written(tmp_path / "a.yaml", out)).name == "published"
    assert said == NOTE


def test_import_writes_a_file(tmp_path, capsys):
    target = tmp_path / "a.yaml"
    assert main(["import", written(tmp_path / "a.json", GOOD), "-o", str(target)]) == 0
    assert capsys.readouterr() == (f"{target}\n", NOTE)
    assert load_spec(target).layers[1][0].top_k == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "a.yaml"]


def test_a_byte_order_mark_does_no_harm(tmp_path, capsys):
    path = tmp_path / "a.json"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.encode())
    assert main(["import", str(path)]) == 0
    assert yaml.safe_load(capsys.readouterr().out)["name"] == "published"


def test_import_takes_models_from_options_and_from_folders(tmp_path, capsys):
    entry = {"name": "mine", "sources": [{"hub": "facebook/opt-125m"}]}
    written(tmp_path / "mine.yaml", yaml.safe_dump(entry))
    path = written(
        tmp_path / "a.json",
        config(
            [bare("generator", "facebook/opt-125m", "vLLM"), bare("generator", "x", "Groq_API")]
        ),
    )
    options = ["--zoo", str(tmp_path), "--model", "x=http://127.0.0.1:8000/v1#y"]
    assert main(["import", path, *options]) == 0
    assert yaml.safe_load(capsys.readouterr().out)["models"] == {
        "mine": {"zoo": "mine"},
        "y": {"base_url": "http://127.0.0.1:8000/v1", "model": "y"},
    }


def test_export_goes_back(tmp_path, capsys):
    spec = tmp_path / "a.yaml"
    main(["import", written(tmp_path / "a.json", GOOD), "-o", str(spec)])
    capsys.readouterr()
    assert main(["export", "--archon", str(spec)]) == 0
    back, said = capsys.readouterr()
    greedy = config([bare("generator", samples=3)], [bare("ranker", top_k=1)])
    assert json.loads(back) == json.loads(greedy)
    assert said == ""
    target = tmp_path / "b.json"
    assert main(["export", "--archon", str(spec), "-o", str(target)]) == 0
    assert capsys.readouterr().out == f"{target}\n"
    assert target.read_text() == back


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"name": "a",', "line 1, column 14: Expecting property name enclosed in double quotes"),
        (config([bare("generator")], [bare("vote")]), "layers[1][0]: unknown type 'vote'; the pub"),
        (
            config([bare("generator", "a", "Bedrock_API")]),
            "layers[0][0]: no public endpoint is known for 'Bedrock_API'; say what stands for it: ",
        ),
    ],
)
def test_what_cannot_be_imported_leaves_the_file_alone(tmp_path, capsys, text, told):
    path, target = written(tmp_path / "a.json", text), tmp_path / "a.yaml"
    target.write_text("earlier")
    assert one_line(capsys, "import", path, "-o", target).startswith(f"{path}: {told}")
    assert target.read_text() == "earlier"


def test_what_cannot_be_exported_leaves_the_file_alone(tmp_path, capsys):
    spec, target = tmp_path / "a.yaml", written(tmp_path / "b.json", "earlier")
    main(["import", written(tmp_path / "a.json", config([bare("generator", samples=3)]))])
    written(spec, capsys.readouterr().out + "- - type: vote\n")
    told = one_line(capsys, "export", "--archon", spec, "-o", target)
    assert told.startswith(f"{spec}: layers[1][0]: the published language has no vote; it has ")
    assert (tmp_path / "b.json").read_text() == "earlier"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--model", "gpt"], "--model gpt: give NAME=zoo:ENTRY or NAME=URL#MODEL"),
        (["--model", "gpt=zoo:smollm2-135m"], "--model gpt: "),
        (
            ["--model", "a=zoo:smollm2-135m", "--model", "a=http://127.0.0.1/v1#b"],
            "--model a=http://127.0.0.1/v1#b: says another model for a than before",
        ),
        (["--zoo", "nowhere"], "nowhere: no such folder of models; create it or leave it out"),
        (["-o", "spec.txt"], "spec.txt: name a .yaml or .yml file to write"),
        (["-o", "nowhere/spec.yaml"], "nowhere/spec.yaml: cannot be written there (No such file"),
    ],
)
def test_a_wrong_option_is_told(tmp_path, capsys, monkeypatch, options, told):
    monkeypatch.chdir(tmp_path)
    path = written(tmp_path / "a.json", GOOD)
    assert one_line(capsys, "import", path, *options).startswith(told)


def test_a_file_that_cannot_be_read_is_told(tmp_path, capsys):
    missing = tmp_path / "none.json"
    told = f"{missing}: cannot be read (No such file or directory)"
    assert one_line(capsys, "import", missing) == told
    missing.write_bytes(b'{"name": "caf\xe9"}')
    assert one_line(capsys, "import", missing) == f"{missing}: cannot be read (not UTF-8 text)"


@pytest.mark.parametrize("command", ["import", "export"])
def test_help_has_an_example(command, capsys):
    with pytest.raises(SystemExit) as end:
        main([command, "--help"])
    assert end.value.code == 0
    assert f"  archon {command} " in capsys.readouterr().out
