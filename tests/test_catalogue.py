"""`affectgpt data`: corpora by name, the record of one, what is there of it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from affectgpt import cli
from affectgpt.data import readers
from affectgpt.data.clip import Clip, Targets
from affectgpt.data.corpora import Corpus
from affectgpt.data.readers import READERS, Reader, record_of

TOY = Corpus("toy", "A toy", "MIT", "open", layout="one\ntwo", kinds=("emotion", "valence"), labels=("happy", "sad"),
             valence_range=(-3, 3), counts={"train": 3, "test": 1}, folds=5, evaluation="test")


def read_toy(root, language: str = "en", fold: int = 0, gold: bool = False) -> list[Clip]:
    (root / "here.mp4").write_bytes(b"")
    names = [("train", "here.mp4", "sad"), ("train", "gone.mp4", "sad"), ("test", "gone.mp4", "happy")]
    return [Clip(id=f"{language}{fold}{gold}-{number}", corpus="toy", split=split, media=root / file,
                 targets=Targets(emotion=emotion)) for number, (split, file, emotion) in enumerate(names)]


@pytest.fixture
def toy(monkeypatch):
    monkeypatch.setitem(READERS, "toy", Reader(read_toy, TOY))


def test_the_list_has_every_reader(toy, capsys):
    assert cli.main(["data", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == list(READERS)
    assert lines[-1].split()[1:] == ["4", "emotion,", "valence", "A", "toy"]
    assert cli.main(["data", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[-1]["labels"] == ["happy", "sad"]


def test_the_record_says_all_that_holds_for_a_corpus(toy, capsys):
    assert cli.main(["data", "info", "toy"]) == 0
    text = capsys.readouterr().out
    for part in ("A toy", "MIT", "open", "one\n              two", "emotion, valence", "-3 to 3", "train 3, test 1",
                 "MER-UniBench", "language (default en), fold (default 0), gold (default False)"):
        assert part in text
    assert "clips  " not in text and "root" not in text


def test_what_is_there_is_counted_by_split_and_label(toy, capsys, tmp_path):
    assert cli.main(["data", "info", "toy", "--root", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert "  train       2 clips, 1 without their files; sad 2" in text
    assert "  test        1 clips, 1 without their files; happy 1" in text
    assert "note          toy: split train has 2 clips, officially 3" in text and "split test has" not in text
    assert cli.main(["data", "info", "toy", "--root", str(tmp_path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["found"]
    assert found["splits"]["train"] == {"clips": 2, "absent": 1, "faces": 0, "labels": {"sad": 2}}


def test_options_of_a_reader_get_their_types(toy, tmp_path):
    values = READERS["toy"].typed_options({"language": "12", "fold": "3", "gold": "true"}, "x")
    assert values == {"language": "12", "fold": 3, "gold": True}
    assert READERS["toy"].typed_options({"language": 12, "fold": 3.0}, "x") == {"language": "12", "fold": 3}
    for options, says in (({"flod": 1}, "x: reader toy has no option 'flod'; it has language, fold, gold"),
                          ({"fold": "a"}, "x: option fold must be a whole number")):
        with pytest.raises(ValueError, match=says):
            READERS["toy"].typed_options(options, "x")


@pytest.mark.parametrize("arguments, says", [
    (["info"], "needs the name of a corpus"),
    (["info", "tyo"], "unknown corpus reader 'tyo': use one of manifest"),
    (["list", "toy"], "takes no name"),
    (["info", "toy", "fold=1"], "need --root"),
    (["info", "toy", "fold", "--root", "."], "written key=value"),
    (["info", "manifest", "--root", "gone.jsonl"], "gone.jsonl: no such manifest"),
])
def test_mistakes_say_what_to_write(toy, capsys, arguments, says):
    assert cli.main(["data", *arguments]) == 2
    assert says in capsys.readouterr().err


def test_every_reader_is_named_as_its_record_and_takes_options_with_defaults():
    for name, reader in READERS.items():
        assert name == reader.corpus.name and record_of(name) is reader.corpus
        assert all(option.default is not option.empty for option in reader.options.values()), name
        for text in (reader.corpus.title, reader.corpus.licence, reader.corpus.access, reader.corpus.layout):
            assert text, name
    assert record_of("mine") is None


def test_corpora_are_listed_without_torch():
    code = "import sys; from affectgpt.data import catalogue; sys.exit(', '.join({'torch'} & sys.modules.keys()) or 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_same_clip_twice_is_named_with_both_places():
    clips = [Clip(id="a", corpus="t", provenance=f"f:{number}") for number in (1, 2)]
    with pytest.raises(ValueError, match="f:2: id 'a' was used before in f:1"):
        readers.check_unique(clips)
