"""Captions of real talking faces with both filters, against their labels; slow, and only where the real data are."""

from __future__ import annotations

import pytest

from affectgpt.caption import agreement, job, settings, votes
from affectgpt.caption.filters import Caption
from affectgpt.data.readers import manifest, ravdess
from affectgpt.files import read_jsonl, write_jsonl

pytestmark = pytest.mark.slow


def test_captions_of_ravdess_beat_chance_and_the_filters_reject_with_reasons(shared_data, tmp_path, monkeypatch):
    """Classifiers hear other actors than those that they vote on; the numbers of docs/corpora.md come from all of
    them, these from a few."""
    monkeypatch.chdir(tmp_path)
    clips = ravdess.read(shared_data / "clips" / "ravdess_av")
    heard = [clip for clip in ravdess.read(shared_data / "clips" / "ravdess_audio")
             if clip.speaker in ("actor02", "actor03", "actor04", "actor05", "actor07")]
    write_jsonl("labelled.jsonl", ({"id": clip.id, "corpus": clip.corpus, "media": clip.media.name,
                                    "speaker": clip.speaker, "emotion": clip.targets.emotion,
                                    "sentiment": clip.targets.sentiment} for clip in heard))
    recipe = settings.load("caption-starter", [
        f"source.manifests=ravdess:{shared_data / 'clips' / 'ravdess_av'}", "output=out",
        "high.labelled=labelled.jsonl", f"high.labelled_root={shared_data / 'clips' / 'ravdess_audio'}",
        "high.votes=2", "high.epochs=20", "high.folds=2"])
    kept = job.run(recipe).total()
    references = {clip.id: votes.targets_of(clip) for clip in clips}
    shares = []
    for name in ("unfiltered", "manifest"):
        found = [Caption(clip.id, clip.targets.description, clip.targets.labels, clip.targets.sentiment)
                 for clip in manifest.read(tmp_path / "out" / f"{name}.jsonl")]
        first, _ = agreement.emotion_agreement(found, references)
        assert first.share > first.chance + 0.1
        shares.append(first)
    assert shares[0].n == 71 and shares[1].n == kept and 0 < kept < 71
    rejected = [row for _, row in read_jsonl("out/rejected.jsonl")]
    assert len(rejected) == 71 - kept and {"high"} < {row["level"] for row in rejected} <= {"low", "high"}
    assert all(row["detail"] and row["reason"] for row in rejected)
