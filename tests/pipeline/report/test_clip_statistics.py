import statistics
from math import atan, cos, degrees, floor, radians, sin

import numpy as np
import polars as pl
import pytest

from dfer.pipeline.report.clip_statistics import MOST_BINS, bins, clip_figures, random_sample, ranking
from dfer.pipeline.report.pose import EYE_DISTANCE, MOUTH_DEPTH, MOUTH_DROP, NOSE_DEPTH, NOSE_DROP, head_pose
from dfer.schemas.read_cache import read_clips


def average_face(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """Turn the average head in space, point by point, and view it from far away: (68, 2), y down."""
    head = {36: (-EYE_DISTANCE / 2, 0, 0), 45: (EYE_DISTANCE / 2, 0, 0), 30: (0, -NOSE_DROP, NOSE_DEPTH)}
    head |= {
        48: (-2.5, -MOUTH_DROP, MOUTH_DEPTH),
        54: (2.5, -MOUTH_DROP, MOUTH_DEPTH),
    }  # x right, y up, z near
    points = np.zeros((68, 2))
    for index, (x, y, z) in head.items():
        y, z = (
            y * cos(radians(pitch)) + z * sin(radians(pitch)),
            z * cos(radians(pitch)) - y * sin(radians(pitch)),
        )
        x = x * cos(radians(yaw)) + z * sin(radians(yaw))
        right, down = x, -y
        points[index] = (
            right * cos(radians(roll)) - down * sin(radians(roll)),
            right * sin(radians(roll)) + down * cos(radians(roll)),
        )
    return 300 + 17 * points


@pytest.mark.parametrize("roll", [-40, 0, 25])
@pytest.mark.parametrize(("yaw", "pitch"), [(0, 0), (30, 0), (-50, 0), (0, 20), (0, -35)])
def test_pose_recovers_the_angles_of_a_turned_average_head(yaw, pitch, roll):
    np.testing.assert_allclose(head_pose(average_face(yaw, pitch, roll)), (yaw, pitch, roll), atol=1e-6)


def test_mirroring_the_landmarks_negates_yaw_and_roll():
    face = average_face(20, 10, 8)
    mirrored = face * [-1, 1] + [640, 0]
    mirrored[[36, 45, 48, 54]] = mirrored[[45, 36, 54, 48]]
    np.testing.assert_allclose(head_pose(mirrored), head_pose(face) * [-1, 1, -1], atol=1e-6)


def test_pose_of_an_upright_face_follows_the_plain_formula():
    face = average_face(0, 0, 0)
    face[30] += [9, 0]
    width = face[45, 0] - face[36, 0]
    assert head_pose(face)[0] == pytest.approx(degrees(atan(9 / width * EYE_DISTANCE / NOSE_DEPTH)))
    assert head_pose(np.stack([face, face])).shape == (2, 3)


def test_coinciding_and_huge_points_give_angles():
    assert np.isfinite(head_pose(np.zeros((68, 2)))).all()
    assert np.isfinite(head_pose(np.random.default_rng(0).normal(size=(50, 68, 2)) * 1e38)).all()


def test_figures_are_medians_over_the_frames_with_a_face(make_cache):
    specs = [
        {"found": 3, "label": "a"},
        {"status": "no_face"},
        {"detector": "hog"},
        {"frames": 1},
        {},
        {"score": 0.5},
    ]
    cache = make_cache(specs)
    figures = clip_figures(cache, read_clips(cache), 18)
    assert figures["clip_id"].to_list() == ["clip0", "clip2", "clip3", "clip4", "clip5"]
    assert figures["side"].to_list() == [50, 52, 53, 54, 55]
    assert figures["score"].to_list() == pytest.approx([0.9, None, 0.9, 0.9, 0.5])
    for shard, clip_id in ((0, "clip0"), (1, "clip4")):
        rows = pl.read_parquet(cache / f"landmarks/{shard:05}.parquet").filter(pl.col("clip_id") == clip_id)
        poses = [
            head_pose(np.array(points))
            for points, detector in rows.select("landmarks", "detector").iter_rows()
            if detector
        ]
        (row,) = figures.filter(pl.col("clip_id") == clip_id).to_dicts()
        for i, name in enumerate(("yaw", "pitch", "roll")):
            assert row[name] == pytest.approx(statistics.median(pose[i] for pose in poses)), name


def test_ranking_is_by_share_then_score_and_unscored_clips_are_last(make_cache):
    specs = [
        {"found": 2},
        {"score": 0.7},
        {"detector": "hog"},
        {"score": 0.8},
        {"score": 0.7},
        {"frames": 8, "found": 4},
    ]
    cache = make_cache(specs)
    ranked = ranking(clip_figures(cache, read_clips(cache), 18))
    assert ranked["clip_id"].to_list() == [f"clip{i}" for i in (3, 1, 4, 2, 0, 5)]


def test_a_random_sample_does_not_depend_on_the_order_and_little_on_other_clips():
    clips = pl.DataFrame({"clip_id": [f"c{i}" for i in range(500)]})
    drawn = random_sample(clips, 20)["clip_id"].to_list()
    assert len(set(drawn)) == 20 and drawn == random_sample(clips[::-1], 20)["clip_id"].to_list()
    assert drawn[:3] == ["c67", "c70", "c34"]
    fewer = random_sample(clips.filter(pl.col("clip_id") != drawn[0]), 19)["clip_id"].to_list()
    assert fewer == drawn[1:]
    assert len(random_sample(clips, 1000)) == 500


@pytest.mark.parametrize(
    "values",
    [
        [3.0],
        [32] * 9,
        [0, 0.001],
        [-7, 12.5, 90],
        range(1000),
        [1e7, 1e7 + 1],
        [-1e-9, 1e38],
        [100.0] * 2 + [101],
    ],
)
@pytest.mark.parametrize("smallest", [0, 1, 5])
def test_bins_count_each_value_once_in_its_place(values, smallest):
    found = bins(list(values), smallest)
    assert found.total == len(values) and 8 <= len(found.counts) <= MOST_BINS + 1
    assert found.step >= smallest
    slow = [0] * len(found.counts)
    for value in values:
        slow[floor(round(value / found.step, 6)) - found.first] += 1
    assert list(found.counts) == slow
    assert found.first >= 0 or min(values) < 0
    assert found.median == pytest.approx(statistics.median(values))


def test_a_value_on_an_edge_is_in_the_upper_bin():
    tenths = [k / 10 for k in range(12)]  # 0.3 / 0.1 < 3
    assert bins(tenths, 0.1).step == 0.1 and bins(tenths, 0.1).counts == (1,) * 12


def test_bins_without_values_are_empty():
    assert bins([]).counts == () and bins([]).median is None
