"""Recipes: YAML, overrides, messages, rules; and how a command ends."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from affectgpt import config, errors
from affectgpt.caption import settings as caption_settings
from affectgpt.config import Recipe, load_recipe, recipe_to_dict, save_recipe, sections, typed
from affectgpt.config import recipe as recipes
from affectgpt.models import settings


@pytest.fixture
def recipe_file(tmp_path):
    def write(text, name="a.yaml"):
        (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path / name

    return write


def failure(path, *overrides):
    with pytest.raises(ValueError) as caught:
        load_recipe(path, list(overrides))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_defaults_are_valid_and_survive_a_round_trip(tmp_path):
    recipe = Recipe(name="x: ü", description="line\nbreak")
    recipe.train.learning_rate = 1e-05  # YAML 1.1 takes "1e-05" for text
    recipe.model.audio_encoder = None
    recipe.model.streams, recipe.model.fusion = ["text"], "none"
    recipe.validate()
    save_recipe(recipe, tmp_path / "out" / "a.yaml")
    assert load_recipe(tmp_path / "out" / "a.yaml") == recipe
    Recipe().validate()


def test_override_types(recipe_file):
    recipe = load_recipe(recipe_file("name: a\n"), [
        "model.streams=text, audio", "model.fusion=none", "model.visual_encoder=none",
        "model.lora_targets=[q_proj]", "train.seed=1e3", "data.questions.labels=0", "data.root=",
        "train.learning_rate=1e-4", "train.epochs=2",
        "train.resume=true", "name=12", "description=a=b: c", "data.cache=false",
    ])
    model, data, train = recipe.model, recipe.data, recipe.train
    assert (model.streams, model.visual_encoder, model.lora_targets) == (["text", "audio"], None, ["q_proj"])
    assert data.questions == {"description": 1.0, "labels": 0.0} and data.root is None and data.cache is False
    assert train.learning_rate == 1e-4 and train.resume is True
    assert [type(value) for value in (train.epochs, train.seed)] == [float, int] and train.seed == 1000
    assert (recipe.name, recipe.description) == ("12", "a=b: c")
    assert load_recipe(recipe_file(""), ["train.resume=auto"]).train.resume == "auto"


@pytest.mark.parametrize("word, parts", [
    ("train.learning_rat=1", ["unknown key 'train.learning_rat'", "'train.learning_rate'"]),
    ("learning_rate=1", ["unknown key 'learning_rate'", "'train.learning_rate'"]),
    ("trian.epochs=1", ["'train.epochs'"]),
    ("batchsize=1", ["'train.batch_size'"]),
    ("model.fusion=atention", ["did you mean 'attention'"]),
    ("model.streams=audio,fase", ["did you mean 'face'"]),
    ("train.epochs=abc", ["a number", "'abc'"]),
    ("train.epochs=nan", ["a number"]),
    ("train.epochs=", ["a number"]),
    ("model.audio_tokens=2.5", ["a whole number"]),
    ("data.cache=1", ["true or false"]),
    ("data.questions=3", ["a mapping"]),
    ("data.questions.labels=x", ["a number"]),
    ("train=1", ["is a group", "train.output"]),
    ("train.epochs.x=1", ["unknown key"]),
    ("train.epochs", ["key=value"]),
    ("qqqqqqqq=1", ["unknown key", "data, model, train"]),
])
def test_override_mistakes_name_word_and_remedy(recipe_file, word, parts):
    message = failure(recipe_file("name: a\n"), word)
    for part in [f"override {word!r}", *parts]:
        assert part in message


@pytest.mark.parametrize("text, parts", [
    ("train: {learning_rat: 1}", ["a.yaml: unknown key 'train.learning_rat'", "'train.learning_rate'"]),
    ("modle: {}", ["unknown key 'modle'", "'model'"]),
    ("train: {epochs: abc}", ["a.yaml: train.epochs must be a number, got 'abc'"]),
    ("train: {batch_size: true}", ["a whole number, got true"]),
    ("train: {seed: 1.5}", ["a whole number, got 1.5"]),
    ("model: {llm: 3}", ["model.llm must be text, got 3"]),
    ("model: {llm: null}", ["model.llm must be text, got null"]),
    ("model: {streams: audio}", ["a list", "got 'audio'"]),
    ("model: 3", ["model must be a mapping, got 3"]),
    ("data: {manifests: [1]}", ["data.manifests[0] must be text, got 1"]),
    ("name: a\nname: b", ["a.yaml:2", "'name' is there twice"]),
    ("a: [", ["not YAML"]),
    ("- a", ["mapping"]),
    ("base: 3", ["base must be"]),
    ("base: none.yaml", ["none.yaml: no such recipe file"]),
])
def test_file_mistakes_name_file_and_key(recipe_file, text, parts):
    message = failure(recipe_file(text))
    for part in ["a.yaml", *parts] if "none.yaml" not in text else parts:
        assert part in message


def test_base_is_changed_not_replaced(recipe_file):
    base = "train: {epochs: 7, seed: 3}\ndata: {questions: {description: 2}}\nmodel: {dropout: 0.5}\n"
    recipe_file(base, "base.yaml")
    child = "base: base.yaml\ntrain: {seed: 4}\ndata: {questions: {labels: 1}}\nmodel:\n"
    recipe = load_recipe(recipe_file(child))
    assert (recipe.train.epochs, recipe.train.seed, recipe.model.dropout) == (7.0, 4, 0.5)
    assert recipe.data.questions == {"labels": 1.0}


def test_base_mistakes(recipe_file):
    recipe_file("base: a.yaml", "b.yaml")
    assert "leads back" in failure(recipe_file("base: b.yaml"))
    recipe_file("train: {epoch: 3}", "c.yaml")
    assert "c.yaml: unknown key 'train.epoch'" in failure(recipe_file("base: c.yaml", "d.yaml"))


@pytest.mark.parametrize("words, part", [
    (["model.streams=text"], "model.fusion=attention"),
    (["model.fusion=none"], "model.streams has fusion"),
    (["model.streams=audio,face,text"], "has no fusion"),
    (["model.fusion_visual=frame"], "merges audio and frame"),
    (["model.audio_encoder=none"], "model.audio_encoder is null"),
    (["model.visual_encoder=none"], "model.streams has face, fusion"),
    (["model.streams=[]"], "model.streams is empty"),
    (["model.streams=audio,audio,face,fusion"], "twice"),
    (["model.train_encoders=true"], "data.cache=true"),
    (["model.preset=published", "model.projector_hidden=8"], "linear projectors"),
    (["model.audio_tokens=0"], "model.audio_tokens=0 must be at least 1"),
    (["model.dropout=1"], "model.dropout=1.0 must be"),
    (["train.learning_rate=0"], "train.learning_rate=0.0 must be above 0"),
    (["train.max_steps=0"], "train.max_steps=0"),
    (["data.questions={labels: 0}"], "asks nothing"),
    (["data.questions={labels: 2, description: -1}"], "data.questions.description=-1.0 must not be negative"),
    (["data.speed_perturbation=1.1,3"], "data.speed_perturbation[1]=3.0 must be at least 0.5 and at most 2"),
    (["train.learning_rates={projectors: 0}"], "train.learning_rates.projectors=0.0 must be above 0"),
    (["train.zero_stage=4"], "train.zero_stage=4 must be"),
    (["model.preset=published", "model.audio_tokens=0"], "model.audio_tokens=0 must be at least 1"),
    (["data.test_split=train"], "must differ"),
    (["train.save_every=5"], "multiple of train.evaluate_every"),
    (["train.save_every=5", "train.evaluate_every=2"], "multiple of train.evaluate_every"),
    (["model.attention=flash_attention_2"], "bfloat16"),
])
def test_contradictions(recipe_file, words, part):
    assert part in failure(recipe_file(""), *words)


def test_settings_that_go_together(recipe_file):
    path = recipe_file("")
    no_encoder = ["model.audio_encoder=none", "model.visual_encoder=none"]
    load_recipe(path, ["model.streams=text", "model.fusion=none", *no_encoder])
    load_recipe(path, ["model.train_encoders=true", "data.cache=false"])
    load_recipe(path, ["train.save_every=4", "train.evaluate_every=2"])
    load_recipe(path, ["model.preset=published", "model.audio_tokens=1"])


def test_all_contradictions_at_once(recipe_file):
    message = failure(recipe_file("name: x"), "model.streams=text", "model.frames=0", "data.test_split=train")
    assert all(part in message for part in ("recipe 'x'", "model.fusion", "model.frames=0", "must differ"))


def test_recipe_names(recipe_file, tmp_path, monkeypatch):
    monkeypatch.setattr(recipes, "recipe_folder", lambda: tmp_path)
    recipe_file("name: found", "starter.yaml")
    assert load_recipe("starter").name == "found"
    assert "did you mean 'starter'" in failure("stater")
    assert "no such recipe file" in failure("configs/nowhere.yaml")
    assert "is a folder" in failure(str(tmp_path))


def load_of_its_job(name):
    """A packaged recipe by the job that its name begins with."""
    from affectgpt.baselines.fusion_settings import FusionSettings
    from affectgpt.baselines.settings import load_settings
    from affectgpt.baselines.text_settings import TextualizedSettings
    from affectgpt.eval.compare import settings as compare_settings
    from affectgpt.textualize import settings as textualize_settings

    clips = ["source.manifests=clips.jsonl"]
    jobs = {"caption-": lambda name: caption_settings.load(name, clips),
            "textualize": lambda name: textualize_settings.load(name, clips), "compare-": compare_settings.load,
            "textualized-": lambda name: load_settings(TextualizedSettings, name),
            "features-": lambda name: load_settings(FusionSettings, name)}
    job = max((start for start in jobs if name.startswith(start)), key=len, default=None)
    return jobs.get(job, load_recipe)(name)


@pytest.mark.parametrize("name", sorted(path.stem for path in config.recipe_folder().glob("*.yaml")))
def test_packaged_recipes_load(name):
    assert load_of_its_job(name).name


@pytest.mark.parametrize("name", ["affectgpt-qwen2.5-7b", "affectgpt-qwen2.5-7b-published", "affectgpt-qwen3-0.6b"])
def test_the_main_recipes_train_on_mer_caption_plus_and_emer(name):
    recipe = load_recipe(name, ["data.corpora.0.root=/mer", "data.corpora.1.root=/emer"])
    assert [(corpus.reader, corpus.root) for corpus in recipe.data.corpora] == [
        ("mercaptionplus", "/mer"), ("emer", "/emer")]
    assert all("${" in corpus.root for corpus in load_recipe(name).data.corpora)


@pytest.mark.parametrize("module", [sections, settings, caption_settings])
def test_every_setting_is_explained(module):
    """A string stands under each field of each section."""
    tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name.endswith(("Section", "Settings", "Recipe")):
            body = node.body
            for statement, following in zip(body, [*body[1:], None], strict=True):
                if isinstance(statement, ast.AnnAssign):
                    explained = isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant)
                    assert explained, f"{node.name}.{statement.target.id}"
    assert set(recipe_to_dict(Recipe())) == {field.name for field in fields(Recipe)}
    assert "train.epochs" in set(typed.dotted_keys(Recipe))


def test_config_needs_no_torch():
    code = "import sys, affectgpt.config, affectgpt.errors; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_jobs_import_from_any_folder(tmp_path):
    """train/, eval/ and configs/ are parts of the package wherever it is used, editable installs included."""
    if importlib.util.find_spec("affectgpt.train") is None:
        pytest.skip("affectgpt is not installed; run: python3.11 bootstrap.py test")
    code = "import affectgpt.train, affectgpt.eval, affectgpt.config as c; print(c.recipe_folder())"
    output = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert output.returncode == 0, output.stderr
    assert Path(output.stdout.strip()) == config.recipe_folder()


def _raise(error):
    def function(arguments):
        raise error

    return function


@pytest.mark.parametrize("error, code, line", [
    (ValueError("a.mp4: is\n  empty"), 2, "error: a.mp4: is empty"),
    (FileNotFoundError(2, "No such file", "x.mp4"), 2, "error: x.mp4: No such file"),
    (PermissionError("no"), 2, "error: no"),
    (KeyboardInterrupt(), 130, "error: interrupted"),
    (KeyError("k"), 1, "error: KeyError: 'k' (a bug in affectgpt; run it again with --debug to see where)"),
])
def test_one_line_for_a_failed_command(capsys, error, code, line):
    assert errors.run_cli(_raise(error), []) == code
    assert capsys.readouterr().err == line + "\n"
    assert errors.run_cli(_raise(error), ["--debug"]) == code
    output = capsys.readouterr().err
    assert "Traceback" in output and output.splitlines()[-1].startswith("error: ")


def test_command_arguments_and_exit_code():
    seen = []
    code = errors.run_cli(lambda arguments: seen.extend(arguments) or 3, ["a", "--debug", "--", "--debug"])
    assert code == 3
    assert seen == ["a", "--", "--debug"]
    assert errors.run_cli(lambda arguments: None, []) == 0


def test_closed_pipe_is_quiet():
    code = ("import sys; from affectgpt.errors import run_cli\n"
            "def main(arguments):\n    for _ in range(100000): print('x' * 50)\n"
            "sys.exit(run_cli(main, []))")
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b"" and process.wait() == 141
    process.stderr.close()
