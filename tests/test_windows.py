"""Windows of a waveform, as an audio encoder hears them."""

from __future__ import annotations

import numpy as np
import pytest

from affectgpt.models.windows import segments


@pytest.mark.parametrize(
    ("seconds", "count", "window"), [(5.0, 8, 2), (0.5, 3, 2), (20.3, 4, 2), (2.0, 1, 2), (9, 1, 2)]
)
def test_segments_cover_the_whole_clip(seconds, count, window):
    waveform = np.arange(1, round(seconds * 16000) + 1, dtype=np.float32)
    windows = segments(waveform, count, window)
    assert windows.shape == (count, max(window * 16000, -(-len(waveform) // count)))
    assert windows[0, 0] == 1 and windows[-1].max() == len(waveform)
    assert len(np.unique(windows[windows > 0])) == len(waveform)
    assert np.ptp(np.diff(windows[:, 0])) <= 1 if count > 1 else True


def test_published_segments_miss_the_end():
    waveform = np.arange(5 * 16000, dtype=np.float32)
    windows = segments(waveform, 8, 2, rule="published")
    assert windows.shape == (8, 32000) and windows[:, 0].tolist() == [6000.0 * index for index in range(8)]
    assert windows[-1, -1] == 42000 + 31999
    short = segments(np.ones(8000, dtype=np.float32), 8, 2, rule="published")
    assert (short == short[0]).all() and short[0].sum() == 8000 and short[0, 8000:].max() == 0


def test_unknown_rule():
    with pytest.raises(ValueError, match="choose one of"):
        segments(np.zeros(10), 2, 1, rule="other")
