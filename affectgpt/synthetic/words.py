"""Words of the starter corpus: what is said, and how the evidence of each stream is put into words.

Sentences come with the subject they speak about, so that the evidence of the words can name it. The
pools of the three splits are disjoint: a sentence of the test split is never heard in training.
Evidence of voice and face is worded from the parameters that the clip is really made with.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

# emotion -> (sentence, subject). The first eight or more belong to train, then two to val, two to test
# (neutral: four and four).
_SENTENCES: dict[str, tuple[tuple[str, str], ...]] = {
    "happy": (
        ("I got the job I always wanted!", "getting a wanted job"),
        ("We won the game last night!", "winning a game"),
        ("My sister just had a baby girl!", "a newborn baby girl"),
        ("This is the best day of my life!", "the best day in life"),
        ("I love this song so much!", "a much loved song"),
        ("We are going on holiday tomorrow!", "leaving for a holiday"),
        ("It is so good to see you again!", "meeting someone again"),
        ("Everyone came to my birthday party!", "a full birthday party"),
        ("I passed the exam with top marks!", "passing an exam well"),
        ("What a lovely sunny morning!", "a lovely sunny morning"),
        ("He said yes, we are getting married!", "getting married soon"),
        ("The garden looks wonderful today!", "a wonderful garden"),
        ("My best friend is coming home!", "a best friend coming home"),
        ("Our team finished first, I am thrilled!", "a team finishing first"),
    ),
    "sad": (
        ("I miss my mother every day.", "missing a mother"),
        ("My old dog died this morning.", "the death of a dog"),
        ("Nobody came to visit me.", "a visit nobody made"),
        ("I feel so alone in this house.", "feeling alone at home"),
        ("She left and never came back.", "someone who left forever"),
        ("I have lost everything I had.", "losing everything"),
        ("Nothing makes me smile any more.", "having no more joy"),
        ("We had to say goodbye too soon.", "an early goodbye"),
        ("I cried myself to sleep again.", "crying to sleep"),
        ("My only friend moved far away.", "a friend moving away"),
        ("He did not live to see the spring.", "someone who has died"),
        ("My heart has been broken again.", "a broken heart"),
        ("I wish my father were still here.", "a father who is gone"),
        ("All my hopes are gone now.", "the end of all hopes"),
    ),
    "angry": (
        ("You never listen to a word I say!", "not being listened to"),
        ("Stop lying to me right now!", "being lied to"),
        ("How dare you take my money!", "money taken without asking"),
        ("This is not fair and you know it!", "being treated unfairly"),
        ("Get out of my room at once!", "an intruder in the room"),
        ("I have had enough of your excuses!", "endless excuses"),
        ("You broke my phone again, you fool!", "a broken phone"),
        ("Do not tell me to calm down!", "being told to calm down"),
        ("They cheated us out of our pay!", "being cheated out of pay"),
        ("You always blame me for your mess!", "being blamed unjustly"),
        ("Who parked in front of my gate again!", "a blocked gate"),
        ("You ruined the whole evening for us!", "a ruined evening"),
        ("I hate the way you treat her!", "the bad treatment of her"),
        ("Give me back what you stole!", "something stolen"),
    ),
    "fearful": (
        ("There is someone in the house.", "a stranger in the house"),
        ("Please do not leave me here alone.", "being left alone"),
        ("I think he is following us.", "being followed"),
        ("The ice is breaking, help me!", "breaking ice"),
        ("What if the plane goes down?", "a plane that may crash"),
        ("I heard footsteps behind the door.", "footsteps behind a door"),
        ("Do not move, it will bite you.", "an animal about to bite"),
        ("We are trapped and it is dark.", "being trapped in the dark"),
        ("I am scared of the operation.", "a coming operation"),
        ("The brakes are not working!", "failing brakes"),
        ("Something is moving under the bed.", "a thing under the bed"),
        ("I am afraid the storm will hit us.", "a coming storm"),
        ("Run, the fire is getting closer!", "a fire coming closer"),
        ("He has a knife, stay away!", "a man with a knife"),
    ),
    "disgusted": (
        ("This milk smells completely rotten.", "milk that smells rotten"),
        ("There is a hair in my soup.", "a hair in the soup"),
        ("He spat on the floor again.", "spitting on the floor"),
        ("That toilet is absolutely filthy.", "a filthy toilet"),
        ("The meat is covered in maggots.", "maggots on the meat"),
        ("Your socks stink, take them away.", "stinking socks"),
        ("I stepped in dog dirt, yuck.", "stepping in dog dirt"),
        ("That slimy thing makes me sick.", "a sickening slimy thing"),
        ("The bin is crawling with flies.", "flies in the bin"),
        ("He licked the plate like a pig.", "revolting table manners"),
        ("Ugh, the fridge is full of mould.", "mould in the fridge"),
        ("She never washes, it is gross.", "someone who never washes"),
        ("There is vomit all over the seat.", "vomit on the seat"),
        ("I found a dead rat in the sink.", "a dead rat in the sink"),
    ),
    "surprised": (
        ("I did not expect to see you here!", "an unexpected meeting"),
        ("Wow, where did that come from?", "a sudden appearance"),
        ("You mean she is your sister?", "an unexpected sister"),
        ("What, they already finished it?", "work finished unexpectedly early"),
        ("I never knew you could sing!", "a hidden singing talent"),
        ("Oh, the box is completely empty!", "a box found empty"),
        ("Is it really snowing in June?", "snow in June"),
        ("No way, he won the lottery?", "an unexpected lottery win"),
        ("You flew all the way from China?", "an unexpected long flight"),
        ("I cannot believe that is your car!", "an unbelievable car"),
        ("Oh, you cut off all your hair!", "a sudden new haircut"),
        ("What, the meeting is today?", "a meeting unexpectedly today"),
        ("Goodness, it jumped out of the hat!", "something jumping from a hat"),
        ("Wait, you two know each other?", "two people unexpectedly acquainted"),
    ),
    "neutral": (
        ("The meeting starts at ten o'clock.", "the time of a meeting"),
        ("I put the keys on the table.", "keys on a table"),
        ("The train stops at the next station.", "the stop of a train"),
        ("There are four chairs in the room.", "chairs in a room"),
        ("He works in the office upstairs.", "the place of an office"),
        ("The report has twelve pages.", "the length of a report"),
        ("We usually eat lunch at noon.", "the usual lunch time"),
        ("The shop is next to the bank.", "the place of a shop"),
        ("She wrote the number on a card.", "a number on a card"),
        ("The window faces the street.", "the side of a window"),
        ("Tomorrow is the second of May.", "the date of tomorrow"),
        ("The book is on the lower shelf.", "the place of a book"),
        ("They moved the desk to the wall.", "the moving of a desk"),
        ("The road goes along the river.", "the course of a road"),
        ("The box weighs about two kilos.", "the weight of a box"),
        ("I will send the file on Monday.", "the sending of a file"),
        ("The door on the left is the lift.", "the place of a lift"),
        ("My bag is made of brown leather.", "the material of a bag"),
        ("The bus leaves every half hour.", "the bus timetable"),
        ("The paper is in the top drawer.", "the place of some paper"),
        ("He parked the car behind the school.", "the place of a car"),
        ("The course takes about six weeks.", "the length of a course"),
        ("The library closes at seven.", "the opening hours of a library"),
        ("I take the stairs to the third floor.", "the way to a floor"),
        ("The kettle stands beside the stove.", "the place of a kettle"),
        ("Her number is on the first page.", "the place of a number"),
    ),
}

_TEXT_EVIDENCE = {
    "happy": ("The words share good news about {}.", "The words are full of joy about {}.",
              "What is said sounds glad, about {}.", "The words speak with delight about {}."),
    "sad": ("The words speak sadly about {}.", "The words tell of a loss: {}.",
            "What is said is full of grief about {}.", "The words mourn, speaking about {}."),
    "angry": ("The words complain bitterly about {}.", "The words are an angry protest about {}.",
              "What is said blames someone for {}.", "The words attack someone because of {}."),
    "fearful": ("The words warn of a danger: {}.", "The words express fear about {}.",
                "What is said shows worry about {}.", "The words tell of a threat: {}."),
    "disgusted": ("The words express disgust about {}.", "The words recoil from something foul: {}.",
                  "What is said is full of revulsion about {}.", "The words find it revolting: {}."),
    "surprised": ("The words express surprise about {}.", "The words show sudden amazement at {}.",
                  "What is said reacts with disbelief to {}.", "The words did not expect this: {}."),
    "neutral": ("The words plainly state a fact about {}.", "The words only give information about {}.",
                "What is said is matter-of-fact, about {}.", "The words mention without feeling {}."),
}

_NEUTRAL_VOICE = (
    "The voice is even and calm, at an ordinary pace.",
    "The voice keeps a middle pitch and a moderate loudness.",
    "The speaker talks steadily, with ordinary pitch, pace and loudness.",
    "Pitch and loudness stay in the middle, without any strain.",
    "The voice sounds plain and relaxed, with a regular rhythm.",
    "A steady voice of medium pitch, neither loud nor quiet.",
)
_NEUTRAL_FACE = (
    "The face is relaxed, with level brows and a resting mouth.",
    "The face stays still and relaxed, moving only to speak.",
    "Brows, eyes and lip corners stay in their resting position.",
    "The features are at rest and only the lips move in speech.",
    "No facial muscle stands out; brows and mouth are relaxed.",
    "The eyes are normally open and the brows are smooth.",
)

# Action units -> ways to name them. Where a set of units is active, the longer key hides its parts.
_ACTION_WORDS: dict[tuple[int, ...], tuple[str, ...]] = {
    (1, 2): ("the brows are raised high", "both brows are pulled up",
             "the forehead is creased by raised brows"),
    (1, 4): ("the inner brows slant upwards", "the brows are drawn up in the middle"),
    (4,): ("the brows are lowered and drawn together", "the brows are furrowed",
           "the brows are pulled down hard"),
    (5,): ("the eyes are opened wide", "the upper eyelids are raised"),
    (6,): ("the cheeks are raised", "the cheeks push up under the eyes"),
    (7,): ("the eyelids are tightened", "the eyes are narrowed"),
    (9,): ("the nose is wrinkled", "the nose is scrunched up"),
    (10,): ("the upper lip is raised", "the upper lip is pulled up"),
    (12,): ("the lip corners are pulled up", "the mouth forms a broad smile", "the lips curve into a smile"),
    (15,): ("the lip corners are pulled down", "the mouth corners droop"),
    (17,): ("the chin is pushed up", "the chin is puckered"),
    (20,): ("the lips are stretched sideways", "the mouth is stretched wide"),
    (23,): ("the lips are tightened", "the lips are hard and thin"),
    (24,): ("the lips are pressed tight", "the lips are pressed together"),
    (26,): ("the jaw drops open", "the jaw hangs open"),
    (27,): ("the mouth is wide open", "the jaw is dropped far down"),
}
_FACE_FORMS = ("{} and {}.", "{}, and {}.", "{} while {}.", "In the face, {} and {}.")
_VOICE_FORMS = ("The voice is {}, with {}.", "The speaker sounds {}, with {}.",
                "The speech is {}, with {}.", "The voice comes across as {}, with {}.")
ACTIVE = 0.25
"""Intensity from which an action unit counts as visible."""


def sentences(emotion: str, split: str) -> tuple[str, ...]:
    """The sentences of one basic emotion that may be spoken in one split ("train", "validation" or "test")."""
    rows = _SENTENCES[emotion]
    held_out = 4 if emotion == "neutral" else 2
    train = len(rows) - 2 * held_out
    parts = {"train": rows[:train], "validation": rows[train:train + held_out], "test": rows[train + held_out:]}
    return tuple(sentence for sentence, _ in parts[split])


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def text_evidence(sentence: str, rng: np.random.Generator) -> str:
    """What a sentence of this module says, as evidence. ValueError for an unknown sentence."""
    for emotion, rows in _SENTENCES.items():
        for known, subject in rows:
            if known == sentence:
                forms = _TEXT_EVIDENCE[emotion]
                return forms[rng.integers(len(forms))].format(subject)
    raise ValueError(f"not a sentence of the starter corpus: {sentence!r}")


def visible_actions(actions: Mapping[int, float]) -> list[tuple[int, ...]]:
    """Keys of the action words that a set of action-unit intensities shows, upper face first."""
    active = {unit for unit, value in actions.items() if value >= ACTIVE}
    if 27 in active:
        active.discard(26)
    if 24 in active:
        active.discard(23)
    if {1, 4} <= active:
        pairs = [(1, 4)]
        active -= {1, 2, 4}
    else:
        pairs = [(1, 2)] if {1, 2} <= active else []
    return sorted(pairs + [key for key in _ACTION_WORDS if len(key) == 1 and key[0] in active])


def face_evidence(actions: Mapping[int, float], rng: np.random.Generator) -> str:
    """One sentence of 8 to 14 words naming visible action units, or the rest position."""
    keys = visible_actions(actions)
    if not keys:
        return _NEUTRAL_FACE[rng.integers(len(_NEUTRAL_FACE))]
    # The clearest units are named most often.
    force = np.array([max(actions.get(unit, 0.0) for unit in key) for key in keys]) ** 2
    while True:
        picked = sorted(rng.choice(len(keys), min(2, len(keys)), replace=False, p=force / force.sum()))
        phrases = [_ACTION_WORDS[keys[i]][rng.integers(len(_ACTION_WORDS[keys[i]]))] for i in picked]
        if len(phrases) == 1:
            return f"In the face, {phrases[0]} and the rest is still."
        text = _capital(_FACE_FORMS[rng.integers(len(_FACE_FORMS))].format(*phrases))
        if 8 <= len(text.split()) <= 14:
            return text


def voice_words(style: Mapping[str, float]) -> tuple[list[str], list[str]]:
    """Adjectives and noun phrases that hold for voice parameters (see synthetic.voice.VoiceStyle)."""
    adjectives, nouns = [], []
    for key, low, high, below, above in (
        ("gain", -3.0, 3.0, "quiet", "loud"), ("rate", 0.92, 1.08, "slow", "fast"),
        ("level", -2.0, 2.0, "low", "high"), ("tension", -9.0, 0.45, "", "tense"),
        ("breath", -9.0, 0.35, "", "breathy"), ("creak", -9.0, 0.3, "", "creaky"),
        ("tremor", -9.0, 0.3, "", "trembling"),
    ):
        if style[key] <= low or style[key] >= high:
            adjectives.append(below if style[key] <= low else above)
    for key, low, high, below, above in (
        ("range", 0.75, 1.3, ("a narrow pitch range", "a flat melody"),
         ("wide pitch swings", "a lively melody")),
        ("final", -2.5, 4.0, ("a falling pitch", "a dropping melody"),
         ("a steep final rise", "a sharply rising pitch")),
        ("level", -2.0, 2.0, ("a lowered pitch", "a deep tone"), ("a raised pitch", "a high tone")),
    ):
        if style[key] <= low or style[key] >= high:
            nouns.extend(below if style[key] <= low else above)
    return adjectives, nouns


def voice_evidence(style: Mapping[str, float], rng: np.random.Generator) -> str:
    """One sentence of 8 to 14 words naming what the voice parameters do, or its ordinary manner."""
    adjectives, nouns = voice_words(style)
    if not adjectives:
        return _NEUTRAL_VOICE[rng.integers(len(_NEUTRAL_VOICE))]
    count = min(len(adjectives), 2 + int(rng.integers(2)))
    picked = [adjectives[i] for i in sorted(rng.choice(len(adjectives), count, replace=False))]
    if "high" in picked or "low" in picked:  # do not name the pitch level twice
        nouns = [noun for noun in nouns if noun not in
                 ("a lowered pitch", "a deep tone", "a raised pitch", "a high tone")] or nouns
    joined = picked[0] if count == 1 else ", ".join(picked[:-1]) + " and " + picked[-1]
    noun = nouns[rng.integers(len(nouns))] if nouns else "little change of pitch"
    return _VOICE_FORMS[rng.integers(len(_VOICE_FORMS))].format(joined, noun)
