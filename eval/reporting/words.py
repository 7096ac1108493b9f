"""What a report calls things, and its numbers as text."""

from __future__ import annotations

from affectgpt.metrics import stats

MEANING_OF_KIND = {
    "basic": {
        "published": "In this share of the clips with an emotion, one of the emotions named is the clip's (mean over "
                     "five wheels). Neutral clips are left out, and naming many emotions costs nothing.",
        "strict": "How well the set of emotions named fits the clip's one emotion. Neutral clips count, and every "
                  "further emotion named costs points."},
    "sentiment": {
        "published": "Positive or not, on clips that are not exactly neutral. An answer of neutral counts as negative.",
        "strict": "Positive, neutral or negative, on all clips, each class weighted by its clips."},
    "openset": {
        "published": "How well the labels named fit the clip's labels (mean over five wheels). Words on no wheel are "
                     "left out.",
        "strict": "The same clip by clip, with nothing left out: a word on no wheel is a word of its own."},
    "description": {
        "published": "An LLM's rating of how far the emotional states agree with the human-checked description's.",
        "strict": "How many content words the two descriptions share."},
    "class": {
        "published": "The first label must be the clip's class as the set spells it. Clips without an answer are left "
                     "out.",
        "strict": "Every label is put into a class, so that furious is angry; each class weighs the same. A missing "
                  "answer is wrong."},
    "synonyms": {
        "published": "How well the labels named fit the clip's labels, where an LLM put synonyms into groups.",
        "strict": "The same, with nothing left out."},
    "choice": {
        "published": "In this share of the questions the right option is named. Unanswered ones are left out.",
        "strict": "The same, where a missing answer is wrong and no option is ever guessed from an answer."},
    "yes_no": {
        "published": "Questions come in pairs, a true and a made-up one; both must be right.",
        "strict": "The same, where a missing answer is wrong and none is guessed."},
    "preference": {
        "published": "Which of two descriptions people preferred. Ties are left out.",
        "strict": "The same, ties included; a missing answer is wrong."},
}
"""Kind -> way of counting -> what its primary score says, in plain words."""

SCORE_NAMES = {"f": "F of mean precision and mean recall", "sample_f": "F1, mean over clips", "waf": "weighted F1",
               "hit_rate": "hit rate", "mscore": "hits over emotions named", "macro_f1": "macro F1",
               "weighted_f1": "weighted F1", "polar_accuracy": "accuracy without neutral clips",
               "war": "weighted average recall (WAR), accuracy", "uar": "unweighted average recall (UAR)",
               "unmapped": "answers in no class", "not_given": "answers that give none",
               "unreadable": "answers that name none or several", "paired_accuracy": "pairs with all right",
               "overall": "pairs with both right", "yes_rate": "answers of yes",
               "yes_bias": "answers of yes less questions whose answer is yes", "chance": "by guessing",
               "fp_ratio": "wrong answers that are yes", "tie_rate": "answers of same",
               "consistency": "the same answer with the two exchanged", "first_rate": "answers of the first"}
"""What tables call a score, where its name in the results says too little."""

CHOSEN_ON_TEST = ("This checkpoint was chosen by the very clips that it is scored on. Such a number is too high; do "
                  "not compare it with one that validation clips chose.")


def number(value: float | None) -> str:
    """Two decimals, or "none"."""
    return "none" if value is None else f"{value:.2f}"


def interval(ends: list) -> str:
    """"low to high"."""
    return "no interval" if None in ends else f"{ends[0]:.2f} to {ends[1]:.2f}"


def with_interval(found: dict | None) -> str:
    """Primary score with its interval."""
    return f"{number(found['primary'])} ({interval(found['interval'])})" if found else ""


def p_value(found: dict, p: float | None = None) -> str:
    """p of a comparison, or a p that was adjusted from it; never below what its draws can tell."""
    return stats.p_text(found["p"] if p is None else p, found.get("floor", 0.0))
