import itertools

from dfer.train.models.segments import segment_frames, windows


def test_segments_are_equally_long_in_order_and_take_every_frame():
    for frames, segments in itertools.product(range(1, 40), range(1, 12)):
        chosen = segment_frames(frames, segments)
        assert len(chosen) == segments
        assert len({len(segment) for segment in chosen}) == 1
        assert all(segment == list(range(segment[0], segment[0] + len(segment))) for segment in chosen)
        assert [segment[0] for segment in chosen] == sorted(segment[0] for segment in chosen)
        assert {frame for segment in chosen for frame in segment} == set(range(frames))


def test_segments_share_no_frame_where_the_number_of_frames_is_a_multiple():
    assert segment_frames(6, 3) == [[0, 1], [2, 3], [4, 5]]


def test_windows_reach_from_the_start_to_the_end_and_a_single_one_is_in_the_middle():
    assert windows(10, 3, 4) == [[0, 1, 2, 3], [3, 4, 5, 6], [6, 7, 8, 9]]
    assert windows(5, 1, 3) == [[1, 2, 3]]
