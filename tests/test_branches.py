"""Several questions about a clip in one row: equal to separate samples, with a prompt that is written once."""

from __future__ import annotations

import pytest
import tiny
import torch
from tiny import parts  # noqa: F401  fixture

from affectgpt.config.sections import Recipe
from affectgpt.data.branches import attended, join, shared_tokens
from affectgpt.data.clip import Clip, Targets
from affectgpt.data.dataset import InstructionDataset
from affectgpt.models.attention import BY_CLIP
from affectgpt.models.collate import collate, collate_packed

ASKED = [("Describe the person's emotion with its evidence.", "The voice is loud: angry. Emotions: angry."),
         ("List the person's emotions.", "Emotions: angry, sad."), ("List all.", "sad")]


def branched(processor, count: int = 3) -> tuple[list[dict], list[dict]]:
    """Clips of every kind of gap: one sample with all questions each, and a sample for each question."""
    together, apart = [], []
    for number, clip in enumerate(tiny.MIXTURE):
        inputs = tiny.inputs(processor, *clip)
        texts = [processor.training_text(inputs, *asked) for asked in ASKED[: 1 + number % count]]
        media = [processor.training_sample(inputs, *ASKED[0])]
        media = {key: value for key, value in media[0].items() if key not in ("input_ids", "labels")}
        text = join(texts, set(processor.config.placeholder_ids.values()))
        together.append({key: value for key, value in text.items() if key != "shown"} | media)
        apart += [{"input_ids": text["input_ids"], "labels": text["labels"]} | media for text in texts]
    return together, apart


def passes(model, batches):
    found = []
    for batch in batches:
        model.zero_grad()
        outputs = model(**batch, num_items_in_batch=10)
        outputs.loss.backward()
        found.append((outputs, {name: p.grad.clone() for name, p in model.named_parameters() if p.requires_grad}))
    return found


@pytest.mark.parametrize("prompt_style", ["chat", "published"])
@pytest.mark.parametrize("attention", [BY_CLIP, "sdpa", "eager"])
def test_branches_equal_separate_samples_in_losses_and_gradients(parts, attention, prompt_style):  # noqa: F811
    model, processor = tiny.model_and_processor(parts, prompt_style=prompt_style)
    model.language_model.set_attn_implementation(attention)
    model.mark_trained()
    together, apart = branched(processor)
    (one, gradients), (other, expected) = passes(model, [collate_packed(together), processor.collate(apart)])
    torch.testing.assert_close(one.loss, other.loss, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(one.token_losses, other.token_losses, rtol=1e-4, atol=1e-5)
    assert one.token_clips.unique().tolist() == list(range(len(together)))
    for name, gradient in expected.items():
        torch.testing.assert_close(gradients[name], gradient, rtol=1e-3, atol=1e-5, msg=name)
    assert sum(gradient.abs().sum() > 0 for gradient in gradients.values()) > 30
    tokens = [sum(len(sample["input_ids"]) for sample in samples) for samples in (together, apart)]
    assert tokens[0] < 0.8 * tokens[1]


@pytest.mark.parametrize("attention", [BY_CLIP, "sdpa"])
@pytest.mark.parametrize("together", [False, True], ids=["clips", "branches"])
def test_a_window_smaller_than_the_clips_is_kept(parts, attention, together):  # noqa: F811
    from transformers import MistralConfig, MistralForCausalLM

    model, processor = tiny.model_and_processor(parts, streams=["text"], fusion="none", lora_rank=0, token_norm=False)
    torch.manual_seed(1)
    llm = tiny._louder(MistralForCausalLM(MistralConfig(
        vocab_size=400, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, sliding_window=16, attn_implementation=attention))).eval()
    model.language_model = llm
    branches, apart = branched(processor)
    if together and attention == "sdpa":
        with pytest.raises(ValueError, match="sliding windows"):
            model(**collate_packed(branches))
        return
    found = model(**collate_packed(branches if together else apart)).token_losses
    expected = torch.cat([model(**collate([sample], 0)).token_losses for sample in apart])
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    own = llm(input_ids=torch.tensor([apart[1]["input_ids"]]), labels=torch.tensor([apart[1]["labels"]])).loss
    torch.testing.assert_close(model(**collate([apart[1]], 0)).loss, own)
    for layer in llm.model.layers:
        layer.self_attn.config.sliding_window = None  # a window that does nothing would prove nothing
    if attention == BY_CLIP:
        wide = model(**collate_packed(branches if together else apart)).token_losses
        assert (wide - found).abs().max() > 0.01


def test_a_branch_changes_nothing_of_the_others(parts):  # noqa: F811
    model, processor = tiny.model_and_processor(parts)
    texts = [processor.training_text(tiny.inputs(processor, 1, "text"), *asked) for asked in ASKED]
    joined = join(texts, set(processor.config.placeholder_ids.values()))
    batch = collate_packed([joined])
    before = model(**batch).token_losses
    start = sum(joined["branches"][:2])
    batch["input_ids"][0, start + 1 : sum(joined["branches"][:3])] = 7
    after = model(**batch).token_losses
    sizes = [sum(label != -100 for label in text["labels"]) for text in texts]
    one, changed, three = ((before - after).abs().split(sizes))
    assert one.max() == 0 and three.max() == 0 and changed.max() > 0.01


def test_what_is_shared_ends_before_any_answer():
    same = {"input_ids": [1, 2, 3, 4], "labels": [-100, -100, 3, 4]}
    assert shared_tokens([same, dict(same)]) == 1  # the token that predicts an answer is the branch's own
    joined = join([same, {"input_ids": [1, 9, 5], "labels": [-100, -100, 5]}], ())
    assert joined == {"input_ids": [1, 2, 3, 4, 9, 5], "labels": [-100, -100, 3, 4, -100, 5], "branches": [1, 3, 2]}
    assert join([same], ()) is same
    with pytest.raises(ValueError, match="differ before its streams end"):
        join([same, {"input_ids": [1, 9, 5], "labels": [-100, -100, 5]}], {9})
    with pytest.raises(ValueError, match="differ before its streams end"):
        join([same, {"input_ids": [8, 9, 5], "labels": [-100, -100, 5]}], ())


def test_a_label_across_branches_is_refused():
    sample = {"input_ids": [1, 2, 3, 4], "labels": [-100, -100, 3, 4], "branches": [2, 2]}
    with pytest.raises(ValueError, match="first token of a branch, 2"):
        collate_packed([sample])
    for wrong in ([2, 1], [0, 4]):
        with pytest.raises(ValueError, match="are not those of a sample of 4"):
            collate_packed([sample | {"branches": wrong}])
    with pytest.raises(ValueError, match="only where rows are packed"):
        collate([sample], 0)


def test_the_cost_of_attention_counts_pairs():
    from affectgpt.models.layout import Layout

    assert attended([30]) == 900
    parts = [20, 9, 15]
    pairs = int(Layout((tuple(parts),)).mask().sum())
    assert attended(parts) == 2 * pairs - sum(parts)  # a token's pair with itself is half of its square


# ---------------------------------------------------------------------------- samples of a dataset

TARGETS = Targets(labels=("angry", "happy"), valence=-0.2, evidence={"audio": "LOUD.", "face": "SMILE."},
                  cues={"audio": "angry", "face": "happy"})


def dataset_of(parts, questions, together=True, targets=TARGETS, **values):  # noqa: F811
    processor = tiny.model_and_processor(parts)[1]
    clips = [Clip(id=f"c{number}", corpus="t", words="hm", targets=targets) for number in range(12)]
    inputs = {clip.key: tiny.inputs(processor, 1) for clip in clips}
    return InstructionDataset(processor, clips, inputs, questions, 0.5, 0.5, questions_together=together, **values)


def test_a_sample_asks_all_that_has_an_answer(parts):  # noqa: F811
    questions = {"description": 0.2, "labels": 0.0, "valence": 1.0}
    dataset, drawn = dataset_of(parts, questions), dataset_of(parts, questions, together=False)
    seen = set()
    for epoch, index in ((epoch, index) for epoch in range(3) for index in range(len(dataset))):
        dataset.set_epoch(epoch)
        drawn.set_epoch(epoch)
        kinds, hidden = dataset.asked(index)
        assert hidden == drawn.draw(index)[1]  # the same streams as where one question is drawn
        # Where neither sound nor face is seen, no evidence is left to describe.
        assert kinds == (["valence"] if {"audio", "face"} <= set(hidden) else ["description", "valence"])
        seen.add(len(kinds))
        sample = dataset[index]
        assert len(sample.get("branches", [])) == (3 if len(kinds) == 2 else 0)
        answers = dataset.processor.tokenizer.decode([label for label in sample["labels"] if label != -100])
        assert answers.count("Emotions:") == ("description" in kinds) and answers.count("Valence:") == 1
        ids = sample["input_ids"]
        for stream in ("audio", "face"):
            count = ids.count(dataset.processor.config.placeholder_ids[stream])
            assert count == (0 if stream in hidden else dataset.processor.config.tokens_of(stream))
        assert dataset.lengths([index]) == [len(ids)]
    assert seen == {1, 2}


def test_validation_asks_one_question_as_ever(parts):  # noqa: F811
    dataset = dataset_of(parts, {"description": 1.0, "labels": 1.0}, training=False)
    assert [len(dataset.asked(index)[0]) for index in range(12)] == [1] * 12


def test_the_recipe_refuses_what_cannot_share_a_prompt():
    recipe = Recipe()
    recipe.data.questions_together, recipe.train.batching = True, "grouped"
    recipe.model.attention, recipe.model.dtype = "flash_attention_2", "bfloat16"
    with pytest.raises(ValueError) as error:
        recipe.validate()
    assert "set train.batching=packed" in str(error.value) and "use sdpa or auto" in str(error.value)
