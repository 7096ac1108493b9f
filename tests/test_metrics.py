"""Scores against independent implementations and known values."""

from __future__ import annotations

import math
import random
from statistics import NormalDist

import pytest
from scipy.stats import fisher_exact
from sklearn.metrics import accuracy_score, f1_score

from affectgpt.metrics.basic import accuracy, macro_f1, majority_share
from affectgpt.metrics.stats import fisher_greater, wilson_interval

LABELS = ["happy", "sad", "angry", "neutral"]


@pytest.mark.parametrize("seed", range(5))
def test_accuracy_and_macro_f1_equal_sklearn(seed):
    draw = random.Random(seed)
    targets = [draw.choice(LABELS[: 2 + seed % 3]) for _ in range(60)]
    predictions = [target if draw.random() < 0.4 else draw.choice(LABELS) for target in targets]
    assert accuracy(targets, predictions) == pytest.approx(accuracy_score(targets, predictions))
    classes = sorted(set(targets))
    expected = f1_score(targets, predictions, labels=classes, average="macro", zero_division=0)
    assert macro_f1(targets, predictions) == pytest.approx(expected)


def test_a_missing_prediction_is_wrong():
    assert accuracy(["sad", "sad"], [None, "sad"]) == 0.5
    # sad: one hit, one miss; angry: one hit.
    assert macro_f1(["sad", "sad", "angry"], [None, "sad", "angry"]) == pytest.approx((2 / 3 + 1) / 2)


def test_a_class_that_is_only_predicted_has_no_score_of_its_own():
    assert macro_f1(["sad", "sad"], ["sad", "angry"]) == pytest.approx(2 / 3)


def test_no_targets_and_unequal_lengths():
    assert math.isnan(accuracy([], [])) and math.isnan(macro_f1([], [])) and math.isnan(majority_share([]))
    with pytest.raises(ValueError):
        accuracy(["sad"], [])
    with pytest.raises(ValueError):
        macro_f1(["sad"], ["sad", "sad"])


def test_majority_share():
    assert majority_share(["sad", "happy", "sad", "angry"]) == 0.5


@pytest.mark.parametrize("hits, total, low, high", [
    (0, 10, 0.0, 0.2775), (1, 10, 0.0179, 0.4042), (5, 10, 0.2366, 0.7634), (10, 10, 0.7225, 1.0),
    (15, 148, 0.0624, 0.1605),  # Newcombe (1998), table I
    (81, 263, 0.2553, 0.3662),
])
def test_wilson_interval_of_known_cases(hits, total, low, high):
    assert wilson_interval(hits, total) == (pytest.approx(low, abs=1e-4), pytest.approx(high, abs=1e-4))


def test_wilson_bounds_solve_their_equation():
    z = NormalDist().inv_cdf(0.975)
    for bound in wilson_interval(7, 31, z):
        assert abs(7 / 31 - bound) == pytest.approx(z * math.sqrt(bound * (1 - bound) / 31))
    assert wilson_interval(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize("table", [(8, 10, 1, 10), (3, 20, 5, 40), (0, 5, 2, 5), (5, 5, 5, 5), (30, 60, 20, 120)])
def test_fisher_equals_scipy(table):
    hits, total, other, other_total = table
    expected = fisher_exact([[hits, total - hits], [other, other_total - other]], alternative="greater").pvalue
    assert fisher_greater(*table) == pytest.approx(expected)
