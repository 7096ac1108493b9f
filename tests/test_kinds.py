"""Kinds of question: what is asked of a corpus, what is answered, and that nothing is asked without an answer."""

from __future__ import annotations

import pytest
import tiny

from affectgpt.data import prompts
from affectgpt.data.clip import Clip, Preference, Targets
from affectgpt.data.corpora import Corpus
from affectgpt.data.dataset import InstructionDataset
from affectgpt.data.kinds import KINDS, OF_ANY_CLIP
from affectgpt.data.readers import READERS, Reader
from affectgpt.models.configuration import AffectGPTConfig
from affectgpt.models.processing import AffectGPTProcessor
from affectgpt.train.answer_lengths import answer_limit

MOSI = Corpus("mosi", "MOSI", "", "", labels=("happy", "sad", "fearfully surprised"), valence_range=(-3, 3))
ALL = ["audio", "face", "text"]
TURNS = (("Who speaks?", "A man."), ("Is he {calm}?", "No {not}."))

QUESTIONS_OF_FACTS = {
    "description": "Please infer the person's emotional state and provide your reasoning process.",
    "labels": "Please recognize all possible emotional states of the character.",
    "emotion": "Please recognize the character's most likely emotional state.",
    "emotion_candidates": "Please select the label that can best describe the person's emotional state from the "
                          "provided candidate labels: happy, sad, fearfully surprised.",
    "sentiment": "Please select the most likely sentiment label that can best describe the person's emotional state: "
                 "positive, negative, neutral.",
}


@pytest.mark.parametrize("kind, targets, question, answer, published", [
    ("emotion", {"emotion": "happy"}, "Name the one emotion that the person most likely feels.", "Emotion: happy.",
     "The character's emotional state is happy."),
    ("emotion_candidates", {"emotion": "sad"},
     "Which one of these emotions does the person most likely feel: happy, sad, fearfully surprised?", "Emotion: sad.",
     "The most likely label is sad."),
    ("compound", {"emotion": "fearfully surprised"},
     "Name the compound of emotions that the person feels, out of: fearfully surprised.",
     "Emotion: fearfully surprised.", "The character's emotional state is fearfully surprised."),
    ("valence", {"valence": -2.4}, "Rate the valence of the person's emotion from -3 to 3, where 0 is neutral.",
     "Valence: -2.40.", "The valence score is -2.40."),
    ("vad", {"valence": 1, "arousal": 0, "dominance": -0.5},
     "Rate valence, arousal and dominance of the person's emotion, each from -3 to 3.",
     "Valence: 1.00. Arousal: 0.00. Dominance: -0.50.",
     "The valence score is 1.00, the arousal score is 0.00, the dominance score is -0.50."),
    ("preference", {"preference": Preference("He {x} smiles.", "He frowns.", "second")},
     "Which description of the person's emotion fits better, the first or the second, or are they the same?\n"
     "First: He {x} smiles.\nSecond: He frowns.", "Better: second.", "The best one is a2."),
    ("question", {"turns": TURNS[1:]}, "Is he {calm}?", "No {not}.", "No {not}."),
])
def test_a_question_and_its_answer(kind, targets, question, answer, published):
    targets = Targets(**targets)
    assert prompts.question_of(kind, "chat", corpus=MOSI, targets=targets) == question
    assert prompts.answer(targets, kind, ALL) == answer
    assert prompts.answer(targets, kind, ALL, "published") == published
    assert prompts.answerable(targets, kind, ALL, "chat", MOSI)
    if kind in QUESTIONS_OF_FACTS:
        asked = prompts.question_of(kind, "published", corpus=MOSI, targets=targets)
        assert asked == QUESTIONS_OF_FACTS[kind]
    read = prompts.parse_answer(answer), prompts.parse_answer(published)
    if targets.emotion:
        assert all(one.labels == (targets.emotion,) for one in read)


def test_neutral_is_the_middle_of_the_range():
    scale = Corpus("iemocap", "", "", "", valence_range=(1, 5))
    assert prompts.question_of("valence", "chat", corpus=scale).endswith("from 1 to 5, where 3 is neutral.")
    assert "below 3 is negative, 3 is neutral" in prompts.question_of("valence", "published", corpus=scale)
    assert prompts.question_of("valence", "chat", (-3, 3)).endswith("from -3 to 3, where 0 is neutral.")


def test_published_questions_are_the_known_ones():
    assert {kind: prompts.PUBLISHED_QUESTIONS[kind] for kind in OF_ANY_CLIP if kind in QUESTIONS_OF_FACTS} == {
        kind: QUESTIONS_OF_FACTS[kind] for kind in OF_ANY_CLIP if kind in QUESTIONS_OF_FACTS}
    assert tuple(prompts.QUESTIONS) == tuple(prompts.PUBLISHED_QUESTIONS) == OF_ANY_CLIP


@pytest.mark.parametrize("style", ["chat", "published"])
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_answered_where_nothing_is_known(kind, style):
    assert KINDS[kind].answer(style, Targets(), ALL) is None and not KINDS[kind].needs.endswith(".")
    assert not prompts.answerable(Targets(), kind, ALL, style, MOSI)
    assert set(KINDS[kind].questions) == set(KINDS[kind].answers) == {"chat", "published"}


@pytest.mark.parametrize("kind, targets, corpus", [
    ("emotion_candidates", {"emotion": "happy"}, None), ("emotion_candidates", {"emotion": "angry"}, MOSI),
    ("compound", {"emotion": "happy"}, MOSI), ("vad", {"valence": 1, "arousal": 1}, MOSI),
    ("preference", {"preference": Preference("a", "b", "")}, MOSI),  # nobody judged them
    ("emotion", {"labels": ("happy", "sad")}, MOSI), ("question", {"turns": ()}, MOSI),
])
def test_kinds_that_do_not_fit_are_not_asked(kind, targets, corpus):
    assert not prompts.answerable(Targets(**targets), kind, ALL, "chat", corpus)


def test_a_question_that_cannot_be_asked_says_what_it_needs():
    for kind, needs in (("emotion_candidates", "an emotion out of the closed set"), ("preference", "two descriptions"),
                        ("question", "questions with their answers")):
        with pytest.raises(ValueError, match=f"question kind '{kind}' needs {needs}"):
            prompts.question_of(kind, "chat")
    with pytest.raises(ValueError, match="unknown question kind 'mood'"):
        prompts.answer(Targets(description="D."), "mood", ALL)


def test_a_compound_outside_the_closed_set_is_asked_without_candidates():
    targets = Targets(emotion="happily surprised")
    for corpus in (MOSI, None):
        text = prompts.question_of("compound", "chat", corpus=corpus, targets=targets)
        assert text == "Name the compound of emotions that the person feels."


def test_an_emotion_is_told_of_what_is_shown_alone():
    targets = Targets(emotion="angry", cues={"audio": "angry", "face": "happy", "text": "neutral"})
    said = {" ".join(visible): prompts.answer(targets, "emotion", visible)
            for visible in (ALL, ["audio"], ["face", "text"], ["text"], ["audio", "face"], ["frame"])}
    assert said == {"audio face text": "Emotion: angry.", "audio": "Emotion: angry.", "face text": "Emotion: happy.",
                    "text": "Emotion: neutral.", "audio face": None, "frame": None}


def test_what_no_table_knows_is_never_called_neutral():
    described = Targets(description="He shrugs.", labels=("wobbly", "flumpish"))
    assert prompts.answer(Targets(description="He shrugs."), "description", ALL) == "He shrugs."
    assert prompts.answer(described, "description", ALL) == "He shrugs. Emotions: wobbly, flumpish."
    assert prompts.answer(described, "labels", ALL) == "Emotions: wobbly, flumpish."
    assert prompts.answer(described, "sentiment", ALL) is None
    assert prompts.answer(described, "sentiment", ALL, "published") is None


# ---------------------------------------------------------------------------- in training


@pytest.fixture(scope="module")
def processor():
    config = AffectGPTConfig(streams=["audio", "face", "fusion", "text"], **tiny.SMALL)
    return AffectGPTProcessor(tiny.tokenizer(), config)


def dataset_of(processor, questions, corpus="mosi", count=20, **targets):
    clips = [Clip(id=str(number), corpus=corpus, words="hm", targets=Targets(**targets)) for number in range(count)]
    inputs = {clip.key: tiny.inputs(processor, 1, "audio text") for clip in clips}
    return InstructionDataset(processor, clips, inputs, questions)


def text_of(processor, dataset, index):
    return processor.tokenizer.decode(dataset.text(index)["input_ids"])


def test_training_asks_with_the_record_of_the_corpus(processor, monkeypatch):
    monkeypatch.setitem(READERS, "mosi", Reader(lambda root: [], MOSI))
    dataset = dataset_of(processor, {"valence": 1.0}, valence=2.0)
    assert "from -3 to 3" in text_of(processor, dataset, 0) and "Valence: 2.00." in text_of(processor, dataset, 0)
    mine = dataset_of(processor, {"valence": 1.0, "emotion_candidates": 1.0}, "mine", valence=0.5, emotion="sad")
    assert "from -1 to 1" in text_of(processor, mine, 0) and list(mine.items[0][1]) == ["valence"]
    asked = dataset_of(processor, {"emotion_candidates": 1.0}, emotion="sad")
    assert "happy, sad, fearfully surprised?" in text_of(processor, asked, 0)


def test_each_of_several_questions_is_asked_with_its_own_answer(processor):
    dataset = dataset_of(processor, {"question": 1.0}, turns=TURNS)
    texts = set()
    for epoch in range(2):
        dataset.set_epoch(epoch)
        texts |= {question for index in range(20) for question, answer in TURNS
                  if question in text_of(processor, dataset, index) and answer in text_of(processor, dataset, index)}
        assert all(sum(question in text_of(processor, dataset, index) for question, _ in TURNS) == 1
                   for index in range(20))
    assert texts == {"Who speaks?", "Is he {calm}?"}


def test_the_longest_of_several_answers_sets_the_limit(processor):
    long = "word " * 60
    short = answer_limit(dataset_of(processor, {"question": 1.0}, turns=(("a", "b"),)))
    assert answer_limit(dataset_of(processor, {"question": 1.0}, turns=(("a", "b"), ("c", long)))) > short + 60


def test_kinds_of_records_exist():
    for reader in READERS.values():
        assert set(reader.corpus.kinds) <= set(KINDS), reader.corpus.name
