"""A judge's rating is read where it is said, and never guessed."""

from __future__ import annotations

import time

import pytest

from affectgpt.metrics.ratings import parse_rating

CASES = [
    ("8", 8), ("8.", 8), ("**8**", 8), ("8.5", 8.5), ("10", 10), ("0", 0), ("11", None), ("100", None), ("-3", None),
    ("8/10", 8), ("8 / 10", 8), ("8 out of 10", 8), ("Rating: 7/10", 7), ("I rate it 7 on a scale from 0 to 10", 7),
    ("9 (of 10)", 9), ("Score: 9. Clue 1 and clue 2 match.", 9), ("8分", 8), ("评分：8分（满分10分）", 8), ("得分为 8 分", 8),
    ("满分10分，我给8分", 8), ("十分之八", 8), ("八分", 8), ("十分相似", None), ("4/5", None), ("80/100", None), ("80%", None),
    ("7 or 8", None), ("7-8", None), ("Between 6 and 8", None), ("Rating (0-10): 7", 7),
    ("On a scale of 0-10, I would give 6.", 6), ("On a scale of 1 to 10: 6", 6), ("Score: 8, Score: 6", None),
    ('{"rating": 8}', 8), ('{"clue_overlap": 8, "label_overlap": 6}', None), ("The rating is 7.", 7),
    ("I would rate the overlap as 7.", 7), ("I'd give it a 7 out of 10 because 3 clues match.", 7),
    ("There are 3 shared clues.", None), ("3 of 4 clues match, so 8", 8), ("Eight out of ten", 8), ("eight", 8),
    ("Rating: eight", 8), ("9. Clue 1 and clue 2 match.", 9), ("1. The smile matches.\n2. The voice does not.", None),
    ("Rating: 7\nReason: 2 of the 5 clues differ", 7), ("7/10. Two of three clues are the same.", 7),
    ("0 for nothing in common, 10 for the same clues: 6", 6), ("The overlap is 10/10", 10), ("10 out of 10", 10),
    ("Score: 10", 10), ("Rating: 0", 0), ("No number", None), ("", None), ("8分/10分", 8), ("８分", 8), ("８/１０", 8),
    ("rated 6 out of a possible 10", 6), ("My score: **7** / 10", 7), ("7.5/10", 7.5),
    ("Rating: 7 out of 10, or 70%", 7), ("First: 8\nSecond: 6", None), ("8 (both mention smiling; 2 clues)", 8),
    ("I rate it 9.", 9), ("Overlap score = 6", 6), ("评分:9", 9), ("我打9分", 9), ("我认为重叠度是7", 7), ("重叠度为7/10", 7),
    ("Clue 1: 8, Clue 2: 6", None), ("5 points", 5), ("Score: 8 points out of 10", 8), ("Score 7", 7), ("a solid 8", 8),
    ("7 — many shared clues", 7), ("Rating: -2", None), ("Score: 15", None), ("Score: 8. I considered 10 clues.", 8),
    ("Final answer: 6", 6), ("10/10 would be identical; I say 6/10", None), ("6 on a ten-point scale", 6),
    ("Score: 3/10\n\nThe first mentions 2 clues", 3), ("2024", None), ("9 out of ten", 9), ("It deserves a 4.", 4),
    ("评分是8，满分是10", 8), ("从0到10，我给6", 6), ("8 out of 10 (80%)", 8), ("Out of 10, I would say 8.", 8),
    ("Score: 9 (maximum 10)", 9), ("9, where 10 is identical", 9), ("Score: 9/10 for clues, 7/10 for labels", None),
    ("最高10分，我给7", 7), ("7到8分", None), ("8 in 10", 8), ("maybe an 8.", 8), ("Rating: N/A", None), ("n/a", None),
    ("between 0 and 10 I choose 5", 5), ("Score: [8]", 8), ("<score>8</score>", 8),
    ("Rating of overlap: 5 out of 10.", 5), ("8/10 and 8/10", 8),
    ("The first description lists 4 clues and the second lists 3. Rating: 6", 6),
]


@pytest.mark.parametrize("answer, rating", CASES)
def test_ratings_are_read_as_they_are_said(answer, rating):
    assert parse_rating(answer) == rating


@pytest.mark.parametrize("text", ["9 " * 20000, "(" * 50000, "0 for " + "a" * 100000, "score a b c " * 10000,
                                  "<" * 50000, "10 = " * 20000, "of ten " * 20000, " " * 50000 + "x"])
def test_long_texts_take_no_long_time(text):
    start = time.process_time()
    parse_rating(text)
    assert time.process_time() - start < 5
