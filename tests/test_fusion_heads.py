"""Fusion heads against plain loops over their equations; missing streams, short sequences, padding."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from affectgpt.baselines.heads import HEADS

WIDTHS, CLASSES, WIDTH, ATTENTION_HEADS = [5, 4, 3], 4, 8, 2


def made(name: str, widths=WIDTHS):
    torch.manual_seed(3)
    head = HEADS[name](widths, CLASSES, WIDTH, ATTENTION_HEADS, 0.5)
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.6)
    return head.eval()


def clips(widths=WIDTHS, batch=2, length=6, seed=4):
    generator = torch.Generator().manual_seed(seed)
    streams = [torch.randn(batch, length, width, generator=generator) for width in widths]
    there = torch.ones(batch, len(widths), dtype=torch.bool)
    mask = torch.ones(batch, length, dtype=torch.bool)
    return streams, there, mask


def attend(attention, queries, keys):
    """Multi-head attention of lists of vectors, one number after the other."""
    size, out = WIDTH // ATTENTION_HEADS, []
    q, k, v = ([layer(x) for x in xs] for layer, xs in (
        (attention.query, queries), (attention.key, keys), (attention.value, keys)))
    for query in q:
        parts = []
        for number in range(ATTENTION_HEADS):
            part = slice(number * size, (number + 1) * size)
            scores = [float(query[part] @ key[part]) / math.sqrt(size) for key in k]
            total = sum(math.exp(score) for score in scores)
            parts.append(sum(math.exp(score) / total * value[part] for score, value in zip(scores, v, strict=True)))
        out.append(attention.output(torch.cat(parts)))
    return out


def concatenation(head, xs):
    return [head.classify(torch.cat([x[t] for x in xs])) for t in range(len(xs[0]))]


def lfan(head, xs):
    out, size = [], WIDTH // ATTENTION_HEADS
    for t in range(len(xs[0])):
        q, k, v = ([layer(x[t]) for layer, x in zip(layers, xs, strict=True)] for layers in (
            head.query, head.key, head.value))
        followers = []
        for i in range(len(xs)):
            for number in range(ATTENTION_HEADS):
                part = slice(number * size, (number + 1) * size)
                weights = torch.stack([q[i][part] @ k[j][part] / math.sqrt(size) for j in range(len(xs))]).softmax(0)
                followers.append(sum(weights[j] * v[j][part] for j in range(len(xs))) + v[i][part])
        out.append(head.classify(torch.cat([xs[0][t], head.norm(head.output(torch.cat(followers)))])))
    return out


def can(head, xs):
    out, norm = [], head.norm.norm
    for t in range(len(xs[0])):
        joined = torch.cat([one(x[t]) for one, x in zip(head.maps, xs, strict=True)])
        hidden = head.first(head.attention(joined).softmax(0) * joined)
        hidden = (hidden - norm.running_mean) / (norm.running_var + norm.eps).sqrt() * norm.weight + norm.bias
        out.append(head.classify(F.leaky_relu(hidden)))
    return out


def cross(head, hidden):
    found = []
    for layer, (a, b) in zip(head.cross, head.pairs, strict=True):
        mixed = attend(layer.attention, hidden[a], hidden[b])
        found.append([layer.norm(own + other) for own, other in zip(hidden[a], mixed, strict=True)])
    return found


def jmt(head, xs):
    hidden = [[one(row) for row in x] for one, x in zip(head.maps, xs, strict=True)]
    hidden.append([head.joint(torch.cat([one[t] for one in hidden])) for t in range(len(xs[0]))])
    crossed, out = cross(head, hidden), []
    assert len(crossed) == (len(xs) + 1) * len(xs)
    for t in range(len(xs[0])):
        rows = [one[t] for one in crossed]
        mixed = attend(head.stack, rows, rows)
        out.append(head.classify(head.norm(rows[-1] + mixed[-1])))
    return out


def mt(head, xs):
    crossed = cross(head, [[one(row) for row in x] for one, x in zip(head.maps, xs, strict=True)])
    return [head.classify(torch.cat([one[t] for one in crossed])) for t in range(len(xs[0]))]


def statistics(head, xs):
    return [head.classify(F.relu(head.hidden[0](torch.cat([x[t] for x in xs])))) for t in range(len(xs[0]))]


PLAIN = {"concatenation": concatenation, "lfan": lfan, "can": can, "jmt": jmt, "mt": mt, "statistics": statistics}


@pytest.mark.parametrize("length", [1, 6])
@pytest.mark.parametrize("widths", [WIDTHS, WIDTHS[:2], WIDTHS[:1]])
@pytest.mark.parametrize("name", HEADS)
@torch.no_grad()
def test_a_head_is_its_equations(name, widths, length):
    head, (streams, there, mask) = made(name, widths), clips(widths, length=length)
    scores = head(streams, there, mask)
    for clip in range(2):
        plain = torch.stack(PLAIN[name](head, [stream[clip] for stream in streams]))
        torch.testing.assert_close(scores[clip], plain, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", HEADS)
@torch.no_grad()
def test_padding_changes_nothing(name):
    head, (streams, there, mask) = made(name), clips()
    scores = head(streams, there, mask)
    padded = [F.pad(stream, (0, 0, 0, 5), value=9.0) for stream in streams]
    other = head(padded, there, F.pad(mask, (0, 5)))
    torch.testing.assert_close(other[:, : scores.shape[1]], scores, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("missing", [0, 1, 2])
@pytest.mark.parametrize("name", HEADS)
@torch.no_grad()
def test_a_missing_stream_says_nothing(name, missing):
    """Whatever lies in its place, also where the clip beside it has the stream."""
    head, (streams, there, mask) = made(name), clips()
    whole = head(streams, there, mask)
    there[0, missing] = False
    scores = head(streams, there, mask)
    streams[missing][0] = 50.0
    torch.testing.assert_close(head(streams, there, mask), scores)
    assert torch.isfinite(scores).all()
    torch.testing.assert_close(scores[1], whole[1])
    maps = [getattr(head, kind)[missing] for kind in ("query", "key", "value", "maps") if hasattr(head, kind)]
    for layer in maps:
        layer.bias.add_(5.0)
    torch.testing.assert_close(head(streams, there, mask)[0], scores[0])  # nor do the maps that it would pass
    for layer in maps:
        layer.bias.sub_(5.0)
    assert (scores[0] - whole[0]).abs().max() > 1e-3
    present = [number for number in range(3) if number != missing]
    streams[present[0]][0] += 1.0  # and what the clip has still counts
    assert (head(streams, there, mask)[0] - scores[0]).abs().max() > 1e-3


@pytest.mark.parametrize("name", HEADS)
def test_every_parameter_learns(name):
    head, (streams, there, mask) = made(name).train(), clips()
    head.dropout.p = 0.0
    F.cross_entropy(head(streams, there, mask).flatten(0, 1),
                    torch.arange(head(streams, there, mask).shape[1] * 2) % CLASSES).backward()
    # The bias of a key moves all scores of a query alike; one before a batch norm is taken off again.
    still = [key for key, parameter in head.named_parameters() if not key.endswith("bias") and not parameter.grad.any()]
    assert still == []
