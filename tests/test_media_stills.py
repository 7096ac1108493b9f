"""Still pictures."""

from __future__ import annotations

import numpy as np
import pytest
from media_fixtures import numbered_picture, read_number, red_side
from PIL import Image

from affectgpt.media import probe, read_audio, read_frames


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_still_picture(tmp_path, suffix):
    path = tmp_path / f"picture{suffix}"
    Image.fromarray(numbered_picture(5, 64, 48)).save(path)
    info = probe(path)
    assert (info.kind, info.width, info.height, info.frames, info.has_audio) == ("image", 64, 48, 1, False)
    frames = read_frames(path, 8)
    assert frames.images.shape == (1, 48, 64, 3) and read_number(frames.images[0]) == 5
    assert read_frames(path, 8, max_side=32).images.shape == (1, 24, 32, 3)
    assert read_audio(path) is None


def test_picture_with_orientation(tmp_path):
    picture = Image.fromarray(numbered_picture(5, 64, 48))
    exif = picture.getexif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise to see it upright
    picture.save(tmp_path / "picture.jpg", exif=exif)
    image = read_frames(tmp_path / "picture.jpg", 1).images[0]
    assert image.shape == (64, 48, 3) and red_side(image) == "right"


def test_picture_of_16_bits(tmp_path):
    Image.fromarray(np.full((20, 20), 32768, dtype=np.uint16)).save(tmp_path / "picture.png")
    assert read_frames(tmp_path / "picture.png", 1).images.max() == 128
