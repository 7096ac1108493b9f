"""An LLM that rates how far two descriptions of a person agree, as EMER is judged (Lian et al., arXiv 2306.15401).

Two ratings from 0 to 10: of the overlap of the clues, and of the overlap of the emotional states. The intent is the
published one, the wording is ours; a rating is only as good as the judge, so a report names it.
"""

from __future__ import annotations

from affectgpt.extractors.lists import clean, shorten
from affectgpt.extractors.llm import LONGEST_TEXT, Asker, Question
from affectgpt.metrics.ratings import parse_rating

_PAIR = "First: {reference}\nSecond: {prediction}"
_EXAMPLES = (
    ("First: She smiles broadly and her voice is bright, so she is happy.\nSecond: Her smile and her lively tone show "
     "that she is happy.", "9"),
    ("First: He frowns and speaks in a low voice; he is sad.\nSecond: He jumps up and laughs. He is delighted.", "0"),
)

CLUES = Question(
    "clue-overlap-1",
    "Read two descriptions of the same person. Compare only the clues that they give: what is seen, heard and said. "
    "Rate from 0 to 10 how much the clues of the second overlap with those of the first: 0 for nothing in common, 10 "
    "for the same clues. Answer with the number alone.", _EXAMPLES, 8)
LABELS = Question(
    "label-overlap-1",
    "Read two descriptions of the same person. Find the emotional states that each names, and rate from 0 to 10 how "
    "much those of the second overlap with those of the first: 0 for nothing in common, 10 for the same states. Answer "
    "with the number alone.", _EXAMPLES, 8)


def ratings(asker: Asker, question: Question, pairs: list[tuple[str, str]]) -> list[float | None]:
    """Ratings 0 to 10 of pairs (reference, prediction) [N]; None for an answer without a number in that range."""
    half = LONGEST_TEXT // 2
    texts = [_PAIR.format(reference=shorten(reference, half), prediction=shorten(clean(prediction), half))
             for reference, prediction in pairs]
    return [parse_rating(clean(answer)) for answer in asker.ask(question, texts)]
