import numpy as np
from open_clip import open_clip
from PIL import Image, ImageFilter

from dfer.pipeline.clip import extract_clip
from dfer.pipeline.config import ExtractConfig


def test_a_small_face_is_found_in_its_place_in_a_frame_where_a_larger_one_hides_it(
    astronaut, sample_clips, write_video, tmp_path, model_paths
):
    # BlazeFace finds the small face in enlarged tiles only, which are not searched where it sees a large face well.
    actor = next(iter(open_clip(sample_clips / "1001_DFA_NEU_XX.flv").read([0])))
    large = Image.fromarray(actor).resize((900, 675))
    blurred = large.filter(ImageFilter.GaussianBlur(25))

    def frame(person: Image.Image) -> np.ndarray:
        made = np.full((720, 1280, 3), 60, np.uint8)
        made[20:695, 370:1270] = person
        made[400:700, 20:320] = Image.fromarray(astronaut).resize((300, 300))
        return made

    frames = [frame(blurred)] * 3 + [frame(large)] + [frame(blurred)] * 8
    track = extract_clip(write_video(tmp_path / "hidden.mp4", frames), ExtractConfig(), model_paths).track
    assert track.detector == ["blazeface_tile"] * 12
    assert np.abs(track.box - track.box[0]).max() < 10
