"""The textualized job: classifiers, prompts and pairs on one split, whole predictions, resume, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import text_baselines as toys
import torch
from text_baselines import CLASSES

from affectgpt.baselines import text_model
from affectgpt.baselines.predictions import read_predictions
from affectgpt.baselines.prompted import Asker
from affectgpt.baselines.text_settings import PromptSection, TextModelSection
from affectgpt.baselines.texts import Text
from affectgpt.data.clip import Targets
from affectgpt.train import classify, textualized
from affectgpt.train.textualized import run_split


@pytest.fixture(scope="module")
def encoder(tmp_path_factory) -> str:
    return toys.write_encoder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="module")
def llm(tmp_path_factory) -> str:
    return toys.write_llm(tmp_path_factory.mktemp("llm"))


def accuracy(folder) -> float:
    rows, _ = read_predictions(folder)
    return sum(row.predicted == row.target for row in rows) / len(rows)


def test_an_encoder_learns_and_its_predictions_are_whole(encoder, tmp_path):
    split, settings = toys.split(), toys.settings(encoder)
    folder = run_split(settings, split, CLASSES, 0, tmp_path / "run")
    rows, facts = read_predictions(folder)
    assert [row.key for row in rows] == [clip.key for clip in split.test] and accuracy(folder) == 1
    assert all(sum(row.probabilities.values()) == pytest.approx(1, abs=1e-5) for row in rows)
    assert {"system": "toy", "split": "official", "seed": 0, "classes": list(CLASSES), "train_clips": 48,
            "validation_clips": 12, "validation_weighted_f1": 1.0, "clips": 12}.items() <= facts.items()
    assert not list((folder / "fit").glob("checkpoints")) and (folder / "model" / "model.safetensors").is_file()
    before = (folder / "run.json").read_bytes()
    assert run_split(settings, split, CLASSES, 0, folder) == folder and (folder / "run.json").read_bytes() == before
    with pytest.raises(ValueError, match=r"holds predictions of other settings \(text\)"):
        run_split(toys.settings(encoder, text={"context_turns": 1}), split, CLASSES, 0, folder)


def test_a_killed_run_ends_with_the_same_predictions(encoder, tmp_path, monkeypatch):
    split, settings = toys.split(), toys.settings(encoder)
    whole = run_split(settings, split, CLASSES, 0, tmp_path / "whole")
    step = classify.ClassifierTrainer.one_step

    def dies(self, planned):
        if self.state.step == 15:
            raise KeyboardInterrupt
        step(self, planned)

    with monkeypatch.context() as patch:
        patch.setattr(classify.ClassifierTrainer, "one_step", dies)
        with pytest.raises(KeyboardInterrupt):
            run_split(settings, split, CLASSES, 0, tmp_path / "killed")
    begun = []
    monkeypatch.setattr(classify.ClassifierTrainer, "one_step",
                        lambda self, planned: (begun.append(self.state.step), step(self, planned)))
    killed = run_split(settings, split, CLASSES, 0, tmp_path / "killed")
    assert begun[0] == 12 and (killed / "predictions.jsonl").read_bytes() == (whole / "predictions.jsonl").read_bytes()
    assert (killed / "model/model.safetensors").read_bytes() == (whole / "model/model.safetensors").read_bytes()


def test_nothing_of_the_test_clips_reaches_training_or_choice(encoder, tmp_path):
    """With other classes on the test clips the same weights come out."""
    turned = tuple(replace(clip, targets=Targets(emotion="angry")) for clip in toys.clips("test", 4))
    folders = [run_split(toys.settings(encoder), split, CLASSES, 0, tmp_path / name)
               for name, split in (("true", toys.split()), ("turned", toys.split(test=turned)))]
    assert len({(folder / "model/model.safetensors").read_bytes() for folder in folders}) == 1
    assert accuracy(folders[0]) == 1 and accuracy(folders[1]) == pytest.approx(1 / 3)


def test_a_head_alone_is_trained_on_features_computed_once(encoder, tmp_path):
    settings = toys.settings(encoder, model={"train": "head"}, fit={"epochs": 30, "learning_rate": 0.3})
    folder = run_split(settings, toys.split(), CLASSES, 0, tmp_path)
    assert accuracy(folder) > 0.9
    from safetensors import safe_open

    with safe_open(folder / "model/model.safetensors", "pt") as file:
        assert set(file.keys()) == {"head.weight", "head.bias"}
    again, *_ = text_model.read_classifier(folder / "model", "cpu")
    texts = [Text("k", "one good two"), Text("l", "one bad two")]
    tokenizer = text_model.tokenizer_of(settings.model)
    rows = text_model.TextSet(texts, [0, 1], text_model.TextEncoder(tokenizer, 20, True))
    said = classify.predict(again, rows, text_model.Collate(0), device="cpu").argmax(-1).tolist()
    assert [CLASSES[place] for place in said] == ["happy", "sad"]


def test_an_llm_with_lora_learns(llm, tmp_path):
    settings = toys.settings(llm, "llm", model={"train": "lora", "dropout": 0.0}, fit={"epochs": 6,
                             "learning_rate": 0.02, "batching": "grouped"})
    folder = run_split(settings, toys.split(), CLASSES, 0, tmp_path)
    assert accuracy(folder) > 0.9
    model, own, kind, classes = text_model.read_classifier(folder / "model", "cpu")
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert all("lora_" in name or name.startswith("head.") for name in trained) and len(trained) == 2 * 2 * 2 + 2
    assert (kind, classes, own.lora_rank) == ("llm", list(CLASSES), 8)
    layer = model.body.layers[0].self_attn.q_proj
    assert layer.scaling["default"] == pytest.approx(8 / 8**0.5)  # rank-stabilised


def test_an_llm_classifies_as_transformers_own_sequence_classifier(llm):
    from transformers import LlamaForSequenceClassification

    torch.manual_seed(0)
    theirs = LlamaForSequenceClassification.from_pretrained(llm, num_labels=3, pad_token_id=0).eval()
    ours = text_model.build(TextModelSection(source=llm), "llm", 3, 0, "cpu").eval()
    ours.head.weight.data.copy_(theirs.score.weight.data)
    ids = torch.tensor([[5, 9, 33, 7], [8, 4, 0, 0]])
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])
    with torch.no_grad():
        torch.testing.assert_close(ours(ids, mask).logits, theirs(input_ids=ids, attention_mask=mask).logits)


def test_padding_changes_nothing(encoder, llm):
    for source, kind in ((encoder, "encoder"), (llm, "llm")):
        model = text_model.build(TextModelSection(source=source), kind, 3, 0, "cpu").eval()
        rows = [{"input_ids": [1, 5, 6, 7, 2], "labels": 0}, {"input_ids": [1, 5, 2], "labels": 0}]
        with torch.no_grad():
            both = model(**text_model.Collate(0)(rows)).logits
            alone = torch.cat([model(**text_model.Collate(0)([row])).logits for row in rows])
        torch.testing.assert_close(both, alone)


def test_a_run_begins_from_another_corpus_with_a_fresh_head(encoder, tmp_path):
    first = run_split(toys.settings(encoder), toys.split(), CLASSES, 0, tmp_path / "toy" / "official" / "seed-0")
    initial = str(tmp_path / "toy")
    settings = toys.settings(encoder, initial=initial)
    folder = text_model.find_classifier(initial, 0)
    assert folder == first / "model"
    plain = text_model.build(settings.model, "encoder", 3, 0, "cpu").state_dict()
    model = text_model.build(settings.model, "encoder", 3, 0, "cpu")
    text_model.load_trained(model, folder, head=False)
    source = text_model.read_classifier(folder, "cpu")[0].state_dict()
    for name, value in model.state_dict().items():
        assert torch.equal(value, plain[name] if name.startswith("head.") else source[name]), name
    assert not torch.equal(plain["head.weight"], source["head.weight"])
    found = run_split(settings, toys.split(train=toys.clips("train", 4)), CLASSES, 0, tmp_path / "second")
    assert accuracy(found) == 1
    with pytest.raises(ValueError, match="no finished classifier of texts lies there"):
        text_model.find_classifier(str(tmp_path / "nowhere"), 0)
    wider = toys.write_llm(tmp_path / "llm")
    with pytest.raises(ValueError, match="is of another model than model.source"):
        run_split(toys.settings(wider, "llm", initial=initial), toys.split(), CLASSES, 0, tmp_path / "third")


def test_compound_emotions_come_from_a_basic_classifier(encoder, tmp_path):
    basic = ("fearful", "surprised", "sad")
    toys.WORDS.update(fearful="x", surprised="y")
    parts = {name: toys.clips(name, 16 if name == "train" else 4, basic) for name in ("train", "validation", "test")}
    run_split(toys.settings(encoder), toys.split(**parts), basic, 0, tmp_path / "basic" / "official" / "seed-0")
    tested = tuple(replace(clip, words=words, targets=Targets(emotion=name)) for clip, words, name in zip(
        toys.clips("test", 1), ("x y", "bad y", "bad x"),
        ("fearfully surprised", "sadly surprised", "sadly fearful"), strict=True))
    split = toys.split(train=tested, validation=tested, test=tested)
    classes = ("fearfully surprised", "sadly surprised", "sadly fearful", "other")
    settings = toys.settings(encoder, "compound-from-basic", initial=str(tmp_path / "basic"))
    folder = run_split(settings, split, classes, 0, tmp_path / "compound")
    assert accuracy(folder) == 1 and not (folder / "model").exists()
    assert "class other is no pair of basic emotions, and never answered" in read_predictions(folder)[1]["notes"]


def test_an_asked_llm_scores_names_by_their_likelihood(llm, tmp_path):
    """By a cache, side by side, what one forward pass of prompt and name gives."""
    names = ("happy", "sad", "very angry")
    asker = Asker(llm, PromptSection(), names, [("one good", "happy")], "cpu")
    found = asker.scores(Text("k", "The voice is loud", ("before",)))
    prompt = asker.chat.encode(asker.messages("before\nThe voice is loud"))
    expected = []
    for answer in asker.answers:
        ids = torch.tensor([prompt + answer])
        with torch.no_grad():
            shares = asker.chat.model(input_ids=ids).logits[0].float().log_softmax(-1)
        expected.append(sum(float(shares[len(prompt) + place - 1, token]) for place, token in enumerate(answer)))
    torch.testing.assert_close(found, torch.tensor(expected), rtol=1e-4, atol=1e-3)
    end = asker.chat.tokenizer.eos_token_id
    assert len(set(map(len, asker.answers))) > 1 and all(answer[-1] == end for answer in asker.answers)
    text = asker.chat.tokenizer.decode(prompt)
    assert text.index("one good") < text.index("before\nThe voice is loud") and "happy, sad, very angry" in text


def test_asking_keeps_its_answers_and_takes_examples_of_training_alone(llm, tmp_path, monkeypatch):
    split = toys.split(train=toys.clips("train", 3), validation=toys.clips("validation", 1), test=toys.clips("test", 2))
    split = replace(split, test=tuple(replace(clip, words=f"secret {clip.id}") for clip in split.test))
    settings = toys.settings(llm, "prompted", prompt={"shots": 2})
    asked, scores = [], Asker.scores

    def counted(self, text):
        asked.append(text.text)
        assert not any("secret" in example for example, _ in self.examples) and len(self.examples) == 6
        if len(asked) == 7:
            raise KeyboardInterrupt
        return scores(self, text)

    monkeypatch.setattr(Asker, "scores", counted)
    with pytest.raises(KeyboardInterrupt):
        run_split(settings, split, CLASSES, 0, tmp_path)
    folder = run_split(settings, split, CLASSES, 0, tmp_path)
    assert len(asked) == 3 + 6 + 1 and len(read_predictions(folder)[0]) == 6


def test_what_cannot_be_is_told(encoder, llm, tmp_path):
    split = toys.split()
    with pytest.raises(ValueError, match="split official: class 'angry' is not known; there are happy, sad"):
        run_split(toys.settings(encoder), split, ("happy", "sad"), 0, tmp_path / "a")
    with pytest.raises(ValueError, match="split official has no validation clips"):
        run_split(toys.settings(encoder), toys.split(validation=()), CLASSES, 0, tmp_path / "b")
    with pytest.raises(ValueError, match="model.quantization=4bit computes on a GPU, and the device is cpu"):
        run_split(toys.settings(llm, "llm", model={"train": "lora", "quantization": "4bit"}), split, CLASSES, 0,
                  tmp_path / "c")
    with pytest.raises(ValueError, match="model.source: 'no/such/folder/there' is neither"):
        run_split(toys.settings("no/such/folder/there"), split, CLASSES, 0, tmp_path / "d")
    with pytest.raises(ValueError, match="model.lora_targets=query_proj"):
        run_split(toys.settings(encoder, model={"train": "lora", "lora_targets": ["query_proj"]}), split, CLASSES, 0,
                  tmp_path / "e")


def test_classes_that_training_lacks_and_one_class_alone_are_stated(encoder, tmp_path):
    only = tuple(clip for clip in toys.clips("train", 8) if clip.targets.emotion == "sad")
    folder = run_split(toys.settings(encoder), toys.split(train=only), CLASSES, 0, tmp_path)
    rows, facts = read_predictions(folder)
    assert {row.predicted for row in rows} == {"sad"}
    for note in ("class happy never occurs in training", "all training clips are sad"):
        assert note in facts["notes"]


def test_the_verb_runs_all_splits_and_seeds(encoder, tmp_path, capsys):
    manifest = tmp_path / "manifest.jsonl"
    rows = [{"id": clip.id, "corpus": "toy", "split": clip.split, "words": clip.words, "emotion": clip.targets.emotion}
            for part in ("train", "validation", "test") for clip in toys.clips(part, 4)]
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe = tmp_path / "toy.yaml"
    recipe.write_text(f"name: toy\ncorpus: {{reader: manifest, root: {manifest}}}\nseeds: [0, 1]\noutput: "
                      f"{tmp_path / 'out'}\nmodel: {{source: {encoder}}}\n"
                      "fit: {epochs: 6, batch_size: 4, learning_rate: 0.01}\ndevice: cpu\n")
    assert textualized.main([str(recipe), "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert "official: 12 train, 12 validation, 12 test" in shown and "tokens of a text: 5 in the middle" in shown
    assert not (tmp_path / "out").exists()
    assert textualized.main([str(recipe)]) == 0
    assert textualized.main([str(recipe)]) == 0
    told = capsys.readouterr().out
    assert "run 2 of 2" in told and "was there" in told and "majority" in told
    assert sorted(path.parent.name for path in (tmp_path / "out").rglob("run.json")) == ["seed-0", "seed-1"]
