import numpy as np
from PIL import Image

from dfer.pipeline.clip import extract_clip
from dfer.pipeline.config import ExtractConfig


def test_a_small_face_is_found_in_its_place_in_a_frame_where_a_larger_one_hides_it(
    astronaut, write_video, tmp_path, model_paths
):
    # BlazeFace finds the small face in enlarged tiles only, which are not searched where it sees a large one.
    small = Image.fromarray(astronaut).resize((300, 300))
    large = Image.fromarray(astronaut[:, ::-1]).resize((700, 700))
    alone = np.full((720, 1280, 3), 60, np.uint8)
    alone[300:600, 60:360] = small
    with_large = alone.copy()
    with_large[10:710, 560:1260] = large
    frames = [alone] * 3 + [with_large] + [alone] * 4
    track = extract_clip(write_video(tmp_path / "hidden.mp4", frames), ExtractConfig(), model_paths).track
    assert track.detector == ["blazeface_tile"] * 8
    assert np.abs(track.box - track.box[0]).max() < 10
