"""Several people in a clip: who is one, in which order, and that each stays the same person."""

import numpy as np
import pytest
from open_clip import open_clip
from people_clips import left_to_right, nobody, side_by_side, two_people
from PIL import Image

from dfer.pipeline.clip import extract_clip
from dfer.pipeline.config import BLAZEFACE, ExtractConfig
from dfer.pipeline.face.cuts import thumbnail
from dfer.pipeline.face.detect import Detection, detect
from dfer.pipeline.face.face_region import FaceRegion, FrameFaces
from dfer.pipeline.face.gaps import fill_gaps
from dfer.pipeline.face.people import choose_people, comparison
from dfer.pipeline.face.track import track_people

EVERYBODY = ExtractConfig(people="all")


def face(x, y, side, score=0.9):
    return Detection(box=(x, y, x + side, y + side), score=score, detector=BLAZEFACE)


def chosen(tracks, same=lambda a, b, close: False, **settings):
    return choose_people(tracks, ExtractConfig(**{"people": "all", **settings}), same, 0.85, (640, 480))


def test_each_person_is_a_track_of_the_detections_that_are_left():
    near, far = [face(20, 40, 100 + t) for t in range(6)], [face(400, 60, 50 + t) for t in range(6)]
    frames = [[far[t], near[t]] if t != 2 else [far[t]] for t in range(6)]
    first, second = track_people(frames, (), lambda *_: True)
    assert first == [None if t == 2 else near[t] for t in range(6)]
    assert second == far


def test_the_order_is_that_of_a_plain_formula():
    generator = np.random.default_rng(5)
    for _ in range(20):
        tracks = []
        for _ in range(4):
            x, y, side = generator.uniform(0, 500), generator.uniform(0, 380), generator.uniform(40, 90)
            seen = generator.uniform(0, 1, 16) < generator.uniform(0.3, 1)
            seen[0] = seen[1] = True
            tracks.append([face(x + t, y, side + t) if s else None for t, s in enumerate(seen)])
        boxes = [np.array([f.box for f in track if f]) for track in tracks]
        sides = [np.median(b[:, 2] - b[:, 0]) for b in boxes]
        off = [np.hypot((b[:, 0] + b[:, 2]) / 2 - 320, (b[:, 1] + b[:, 3]) / 2 - 240).mean() for b in boxes]
        rules = {
            "heaviest": range(4),
            "largest": np.argsort(-np.array(sides)),
            "center": np.argsort(off),
            "longest": np.argsort([-len(b) for b in boxes], kind="stable"),
        }
        for rule, order in rules.items():
            expected = [tracks[i] for i in order]
            assert chosen(tracks, person=rule) == expected
            assert chosen(tracks, person=rule, people=1) == expected[:1]
            assert chosen(tracks, person=rule, people=3) == expected[:3]


@pytest.mark.parametrize(("frames", "needed"), [(1, 1), (8, 1), (32, 4), (100, 13), (128, 16), (5000, 16)])
def test_a_person_is_in_an_eighth_of_the_frames_or_in_sixteen(frames, needed):
    first = [face(0, 0, 90)] * frames
    for count in (needed - 1, needed):
        other = [face(300, 0, 50)] * count + [None] * (frames - count)
        assert len(chosen([first, other] if count else [first])) == (2 if count == needed else 1)


def test_a_further_person_is_seen_clearly_in_a_frame_and_the_first_in_any_case():
    doubtful = [face(0, 0, 90, 0.8)] * 8
    assert chosen([doubtful, doubtful]) == [doubtful]
    clear = [*doubtful[:7], face(0, 0, 90, 0.86)]
    assert chosen([doubtful, clear]) == [doubtful, clear]


def test_tracks_of_alike_faces_are_one_person_unless_both_are_in_a_frame():
    early, late, other = ([face(x, 0, side)] * 4 for x, side in ((0, 90), (400, 60), (400, 50)))
    tracks = [early + [None] * 4, [None] * 4 + late, other + [None] * 4]

    def alike(a, b, close):
        assert not close
        return {a[0][1].side, b[0][1].side} != {60, 50}  # the first is like both

    assert chosen(tracks, alike) == [early + late, other + [None] * 4]


@pytest.fixture(scope="module")
def people(sample_clips):
    return two_people(sample_clips, 16)


def centres(clip):
    """Where each person is in the frames in which it was found: 0 to 1 from left to right, NaN elsewhere."""
    tracks = [each.track for each in (clip, *clip.others)]
    found = np.array([[name is not None for name in track.detector] for track in tracks])
    middles = np.array([(track.box[:, 0] + track.box[:, 2]) / 2 for track in tracks]) / clip.facts.width
    return np.where(found, middles, np.nan)


def test_two_people_keep_their_identity_over_a_cut_that_swaps_them(
    people, write_video, model_paths, tmp_path
):
    together = side_by_side(*people)
    frames = together[:8] + left_to_right(together[8:])
    clip = extract_clip(write_video(tmp_path / "v.mp4", frames), EVERYBODY, model_paths)
    places = centres(clip)
    astronaut, actor = sorted(places, key=lambda places: places[0])
    swapped = np.arange(16) >= 8
    np.testing.assert_array_equal(astronaut > 0.5, swapped)
    np.testing.assert_array_equal(actor < 0.5, swapped)
    assert clip.facts.warning is None and clip.others[0].fingerprint == clip.fingerprint


def test_one_person_is_extracted_as_the_first_of_several(people, write_video, model_paths, tmp_path):
    path = write_video(tmp_path / "v.mp4", side_by_side(*people))
    alone, together = (extract_clip(path, config, model_paths) for config in (ExtractConfig(), EVERYBODY))
    assert (len(alone.others), len(together.others)) == (0, 1)
    assert alone.track.crops == together.track.crops and alone.facts == together.facts
    right = extract_clip(path, ExtractConfig(person="largest"), model_paths)
    sides = [np.median(c.track.box[:, 2] - c.track.box[:, 0]) for c in (together, *together.others)]
    largest = (together, *together.others)[int(np.argmax(sides))]
    assert right.track.crops == largest.track.crops and right.others == ()


def test_a_person_who_leaves_and_comes_back_elsewhere_is_one(people, write_video, model_paths, tmp_path):
    astronaut, actor = people
    empty = nobody(actor)
    frames = [
        *side_by_side(side_by_side(astronaut[:6], empty[:6]), actor[:6]),
        *side_by_side(side_by_side(astronaut[6:10], empty[6:10]), empty[6:10]),
        *side_by_side(side_by_side(empty[10:], astronaut[10:]), actor[10:]),
    ]
    clip = extract_clip(write_video(tmp_path / "v.mp4", frames), EVERYBODY, model_paths)
    astronauts, actors = sorted(centres(clip), key=lambda places: places[0])
    assert (astronauts[:10] < 1 / 3).all() and (np.abs(astronauts[10:] - 1 / 2) < 1 / 6).all()
    assert np.isnan(actors[6:10]).all() and (actors[[*range(6), *range(10, 16)]] > 2 / 3).all()


def test_every_crop_shows_the_face_of_a_person_who_jumps_without_a_cut(
    people, write_video, model_paths, tmp_path
):
    astronaut, _ = people
    frames = np.full((16, 720, 1280, 3), 128, np.uint8)
    for t, face in enumerate(astronaut):
        y, x = (0, 0) if t % 8 < 4 else (480, 960)
        frames[t, y : y + 240, x : x + 320] = face
    clip = extract_clip(write_video(tmp_path / "v.mp4", frames), EVERYBODY, model_paths)
    assert clip.track.detector.count(None) == 0
    middles = clip.track.crop_landmarks.mean(1) / ExtractConfig().size
    assert (np.abs(middles - 1 / 2) < 0.2).all()


def test_who_only_passes_by_is_no_person(people, write_video, model_paths, tmp_path):
    astronaut, actor = people
    for seen, others in ((1, 0), (2, 1)):  # of 16 frames
        right = actor[:seen] + nobody(actor[seen:])
        path = write_video(tmp_path / f"{seen}.mp4", side_by_side(astronaut, right))
        assert len(extract_clip(path, EVERYBODY, model_paths).others) == others


@pytest.mark.parametrize(("seen_again", "expected"), [(False, None), (True, "tracker")])
def test_a_further_person_is_tracked_only_between_frames_that_show_the_face(
    seen_again, expected, people, write_video, model_paths, tmp_path
):
    astronaut, actor = ([frame.copy() for frame in frames[:12]] for frames in people)
    config = ExtractConfig(people="all", person="largest")  # the actor comes second
    clip = extract_clip(write_video(tmp_path / "v.mp4", side_by_side(astronaut, actor)), config, model_paths)
    x0, y0, x1, y1 = clip.others[0].track.box[9].astype(int) - [320, 0, 320, 0]
    for frame in actor[8:10] if seen_again else actor[8:]:
        face = Image.fromarray(frame[y0:y1, x0:x1])
        mosaic = face.resize((6, 6), Image.Resampling.BOX).resize(face.size, Image.Resampling.NEAREST)
        frame[y0:y1, x0:x1] = np.array(mosaic)
    clip = extract_clip(write_video(tmp_path / "w.mp4", side_by_side(astronaut, actor)), config, model_paths)
    assert clip.others[0].track.detector[8:10] == [expected] * 2


@pytest.mark.parametrize("number", ["all", 2])
def test_a_clear_face_does_not_hide_another_one_in_a_wide_picture(
    number, people, write_video, model_paths, tmp_path
):
    # Shrunk to what BlazeFace sees of a frame, only the actor is large enough.
    astronaut, actor = ([Image.fromarray(frame) for frame in frames[:4]] for frames in people)
    near = [np.array(frame.crop((80, 30, 240, 150)).resize((640, 480))) for frame in actor]
    far = [np.array(frame.resize((640, 480))) for frame in astronaut]
    path = write_video(tmp_path / "wide.mp4", side_by_side(near, far))
    assert extract_clip(path, ExtractConfig(), model_paths).track.box[:, 2].max() < 640
    clip = extract_clip(path, ExtractConfig(people=number), model_paths)
    assert [int(place.mean() > 0.5) for place in centres(clip)] == [0, 1]
    assert not np.isnan(centres(clip)).any()


@pytest.mark.parametrize(("gap", "asked"), [(3, 0), (4, 1)])
def test_who_takes_somebodys_place_after_a_while_is_compared(gap, asked):
    frames, compared = [[face(20, 40, 90)], *[[]] * (gap - 1), [face(22, 41, 90)]], []

    def other(*nodes):
        compared.append(nodes)
        return False

    found = list(track_people(frames, (), other, longest_gap=3))
    assert (len(compared), len(found)) == (asked, 1 + asked)


def test_a_face_in_a_gap_is_given_only_to_its_own_person_and_to_nobody_else(
    people, write_video, model_paths, tmp_path
):
    # The astronaut takes the actor's place. Each is known in two of four frames, the others show somebody unknown.
    frames = people[1][:4] + people[0][4:8]
    source = open_clip(write_video(tmp_path / "v.mp4", frames))
    config, pixels = EVERYBODY, list(source.read(range(8)))
    known = {t: detect(pixels[t], model_paths.landmarker, config)[0] for t in (2, 3, 4, 5)}
    seen = [
        FrameFaces(
            position=t,
            faces=(own := [known[t]] if t in known else []),
            first_look=own,
            regions={face: FaceRegion.around(image, face.box, config) for face in own},
            thumbnail=thumbnail(image),
        )
        for t, image in enumerate(pixels)
    ]
    same_person = comparison(seen, model_paths)

    def followed(*own):
        track = [known[t] if t in own else None for t in range(8)]
        found, *_ = fill_gaps(source, seen, track, (), config, model_paths, same_person, True)
        return [t for t, face in enumerate(found) if face]

    assert followed(4, 5) == [4, 5, 6, 7]
    assert followed(2, 3) == [0, 1, 2, 3]
    assert followed(2, 3) == [2, 3]
