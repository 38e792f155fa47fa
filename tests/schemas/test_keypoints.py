import numpy as np

from dfer.schemas.keypoints import DLIB18


def test_there_are_18_keypoints_in_regions_of_5_5_and_6_and_two_in_none():
    assert DLIB18.count == 18
    assert [len(members) for members in DLIB18.regions.values()] == [5, 5, 6]
    assert sorted(k for members in DLIB18.regions.values() for k in members) == list(range(16))


def test_select_takes_landmarks_and_the_cheeks_are_centroids():
    landmarks = np.random.default_rng(0).random((3, 68, 2))
    chosen = DLIB18.select(landmarks)
    assert chosen.shape == (3, 18, 2)
    singles = [17, 19, 21, 36, 39, 26, 24, 22, 45, 42, 48, 51, 54, 57]
    np.testing.assert_allclose(chosen[:, :14], landmarks[:, singles])
    np.testing.assert_allclose(chosen[:, 14], landmarks[:, [4, 31, 36]].mean(1))
    np.testing.assert_allclose(chosen[:, 15], landmarks[:, [12, 35, 45]].mean(1))
    np.testing.assert_allclose(chosen[:, 16:], landmarks[:, [27, 30]])


def test_adjacency_is_binary_symmetric_with_25_edges_and_every_keypoint_is_joined():
    matrix = DLIB18.adjacency()
    assert set(np.unique(matrix)) == {0, 1}
    assert (matrix == matrix.T).all() and not matrix.diagonal().any()
    assert matrix.sum() == 2 * 25
    assert (matrix.sum(1) > 0).all()


def test_flip_is_its_own_inverse_and_maps_graph_and_regions_onto_themselves():
    flip = np.array(DLIB18.flip)
    assert (flip[flip] == np.arange(18)).all()
    matrix = DLIB18.adjacency()
    assert (matrix[np.ix_(flip, flip)] == matrix).all()
    left, right, lower = (set(members) for members in DLIB18.regions.values())
    assert {flip[k] for k in left} == right
    assert {flip[k] for k in lower} == lower
