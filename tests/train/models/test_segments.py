import itertools

from dfer.train.models.segments import segment_frames


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
