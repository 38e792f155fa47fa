import numpy as np
import pytest

from dfer.pipeline.face import align

LANDMARKS = np.zeros((68, 2))
LANDMARKS[36:42] = (100, 120)
LANDMARKS[42:48] = (180, 120)
LANDMARKS[48], LANDMARKS[54] = (120, 204), (160, 204)


def rotated(points, degrees):
    a = np.radians(degrees)
    return points @ np.array([[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]]) + (300, 40)


@pytest.mark.parametrize("degrees", [0, 25, -140])
@pytest.mark.parametrize("margin", [0, 0.25])
def test_eyes_and_mouth_land_on_the_template_at_any_head_angle(degrees, margin):
    landmarks = rotated(LANDMARKS, degrees)
    (found,) = align.find_anchors(landmarks[None], np.zeros((1, 4)), "similarity")
    transform = align.estimate_similarity(found, "similarity", 128, margin)
    anchors = np.stack([landmarks[36], landmarks[42], landmarks[[48, 54]].mean(0)])
    wanted = (align.TEMPLATES["similarity"] + margin) / (1 + 2 * margin) * 128 - 0.5
    np.testing.assert_allclose(align.apply_transform(anchors, transform), wanted, atol=1e-9)


def test_a_transform_is_a_similarity_and_can_be_inverted():
    random = np.random.default_rng(1)
    landmarks = LANDMARKS + random.normal(0, 5, (68, 2))
    (anchors,) = align.find_anchors(landmarks[None], np.zeros((1, 4)), "similarity")
    transform = align.estimate_similarity(anchors, "similarity", 128, 0.1).astype(np.float32).astype(float)
    linear = transform[:, :2]
    np.testing.assert_allclose(linear @ linear.T, np.eye(2) * np.linalg.det(linear), atol=1e-5)
    points = random.uniform(0, 400, (18, 2))
    back = (align.apply_transform(points, transform) - transform[:, 2]) @ np.linalg.inv(linear).T
    assert np.abs(back - points).max() < 0.01


@pytest.mark.parametrize("shrink", [0.5, 1.0, 1.7, 3.0, 6.3])
def test_pixels_land_where_points_land(shrink):
    # The centre of mass of a soft spot, in the picture and in the crop.
    y, x = np.mgrid[:400, :500]
    spot = np.array([263.3, 181.6])
    width = 6 * shrink
    picture = 255 * np.exp(-((x - spot[0]) ** 2 + (y - spot[1]) ** 2) / (2 * width**2))
    turn = np.array([[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]]) / shrink
    transform = np.column_stack([turn, np.array([60, 70]) - turn @ spot])
    crop = align.warp(np.repeat(picture.round().astype(np.uint8)[..., None], 3, 2), transform, 128)
    weight = crop[..., 0].astype(float)
    yc, xc = np.mgrid[:128, :128]
    centre = np.array([(weight * xc).sum(), (weight * yc).sum()]) / weight.sum()
    assert np.abs(centre - (60, 70)).max() < 0.05


def test_an_image_that_shrinks_does_not_alias():
    stripes = np.zeros((512, 512, 3), np.uint8)
    stripes[:, ::2] = 255
    transform = np.array([[0.25, 0, 0], [0, 0.25, 0]])
    inside = align.warp(stripes, transform, 128)[4:-4, 4:-4]
    assert abs(inside.mean() - 127.5) < 2 and inside.std() < 2


def test_outside_the_image_is_black():
    transform = np.array([[1.0, 0, 50], [0, 1, 0]])
    crop = align.warp(np.full((128, 128, 3), 200, np.uint8), transform, 128)
    assert (crop[:, :49] == 0).all() and (crop[2:-2, 52:] == 200).all()


@pytest.mark.parametrize("margin", [0, 0.25])
def test_a_box_becomes_an_upright_square_with_its_margin(margin):
    boxes = np.array([[100.0, 40.0, 180.0, 140.0]])  # 80 × 100: the square of 100 around its centre
    (anchors,) = align.find_anchors(np.zeros((1, 68, 2)), boxes, "box")
    transform = align.estimate_similarity(anchors, "box", 128, margin)
    scale = 128 / (100 * (1 + 2 * margin))
    np.testing.assert_allclose(transform[:, :2], np.eye(2) * scale, atol=1e-9)
    np.testing.assert_allclose(
        align.apply_transform(np.array([140.0, 90.0]), transform), (63.5, 63.5), atol=1e-9
    )
