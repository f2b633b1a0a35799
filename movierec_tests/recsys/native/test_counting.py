"""What the library is not given to count."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from movierec_assets.recsys.errors import RecsysError
from movierec_assets.recsys.native.counting import Counter, Reach

MOVIES = np.array([0, 1, 1, 0], np.int32)
SOUND = Reach(
    likes=np.array([0, 3, 1, 2], np.int32),
    indptr=np.array([0, 2, 4], np.int64),
    start=np.array([1, 2, 4, 4], np.int32),
    stop=np.array([3, 3, 4, 4], np.int32),
    of_source=np.ones(2, np.float32),
    of_follower=np.ones(2, np.float32),
)


@pytest.mark.parametrize(
    "reach",
    [
        replace(SOUND, likes=np.array([0, 4, 1, 2], np.int32)),
        replace(SOUND, likes=np.array([0, -1, 1, 2], np.int32)),
        replace(SOUND, indptr=np.array([0, 2, 5], np.int64)),
        replace(SOUND, start=SOUND.start[:2]),
        replace(SOUND, stop=SOUND.stop[:2]),
        replace(SOUND, start=SOUND.start[:2], stop=SOUND.stop[:2]),
        replace(SOUND, stop=np.array([3, 5, 4, 4], np.int32)),
        replace(SOUND, start=np.array([-1, 2, 4, 4], np.int32)),
    ],
    ids=[
        "a place behind",
        "a place before",
        "more places than likes",
        "few starts",
        "few stops",
        "few of both",
        "a stop behind",
        "a start before",
    ],
)
def test_places_outside_the_likes_are_refused(reach: Reach) -> None:
    with pytest.raises(RecsysError, match="outside the likes"):
        Counter(MOVIES, np.ones(4, np.float32), [reach], 5)
