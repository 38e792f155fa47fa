from dfer.schemas.blendshapes import BLENDSHAPES, FLIP


def test_the_names_are_mediapipes_in_its_order():
    from mediapipe.tasks.python.vision.face_landmarker import Blendshapes

    known = [member.name.replace("_", "").lower() for member in sorted(Blendshapes, key=lambda m: m.value)]
    assert [name.lstrip("_").lower() for name in BLENDSHAPES] == known


def test_a_flip_swaps_the_sides_and_twice_is_nothing():
    assert [FLIP[k] for k in FLIP] == list(range(52))
    assert BLENDSHAPES[FLIP[BLENDSHAPES.index("mouthSmileLeft")]] == "mouthSmileRight"
    assert sum(a == b for a, b in enumerate(FLIP)) == sum(
        "Left" not in n and "Right" not in n for n in BLENDSHAPES
    )
