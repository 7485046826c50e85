"""The README's picture shows what it says: the fully connected layer's weights are 9, repeated."""

from __future__ import annotations

import numpy as np
from PIL import Image
from test_papers import ROOT
from ucorr_tools.demo import readme_picture
from ucorr_tools.pictures.picture import grey, photograph


def test_the_weights_that_are_found_repeat_the_kernel():
    side, kernel = readme_picture.SIDE, np.array(readme_picture.KERNEL)
    found = readme_picture.fitted(grey(photograph())).reshape(side, side, side, side)
    assert found.size == 4_096
    wanted = np.zeros((side, side, side, side))
    for i, j, a, b in np.ndindex(side, side, 3, 3):
        if 0 <= i + a - 1 < side and 0 <= j + b - 1 < side:
            wanted[i, j, i + a - 1, j + b - 1] = kernel[a, b]
    np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_the_picture_is_drawn(tmp_path):
    readme_picture.draw(str(tmp_path / "picture.png"))
    with Image.open(tmp_path / "picture.png") as drawn, Image.open(ROOT / "docs" / "picture.png") as shipped:
        assert drawn.size == shipped.size
        assert np.abs(np.asarray(drawn, np.int16) - np.asarray(shipped)).mean() < 3  # letters depend on Pillow
