import pytest
import torch

from dfer.schemas.keypoints import DLIB18
from dfer.train.models.keypoint.region_fusion import RegionFusion, make_fusion

LOCAL, GLOBAL = torch.randn(3, 18, 128), torch.randn(3, 128)


def test_structure_concatenates_the_mean_of_each_region_and_the_global_vector():
    fusion = RegionFusion(DLIB18)
    regions = [LOCAL[:, 0:5].mean(1), LOCAL[:, 5:10].mean(1), LOCAL[:, 10:16].mean(1), GLOBAL]
    torch.testing.assert_close(fusion(LOCAL, GLOBAL), torch.cat(regions, 1))
    assert sum(p.numel() for p in fusion.parameters()) == 0


def test_the_nose_bridge_is_in_no_region():
    fusion, moved = RegionFusion(DLIB18), LOCAL.clone()
    moved[:, 16:] += 100
    torch.testing.assert_close(fusion(LOCAL, GLOBAL), fusion(moved, GLOBAL))


@pytest.mark.parametrize("kind", ["structure", "mean", "lstm", "global"])
def test_every_fusion_returns_512_features_and_uses_its_input(kind):
    fusion = make_fusion(kind, DLIB18)
    assert fusion(LOCAL, GLOBAL).shape == (3, fusion.outputs) == (3, 512)
    assert not torch.allclose(fusion(LOCAL, GLOBAL), fusion(LOCAL, GLOBAL + 1))
    uses_keypoints = not torch.allclose(fusion(LOCAL, GLOBAL), fusion(LOCAL + 1, GLOBAL))
    assert uses_keypoints == (kind != "global")


def test_mean_fusion_averages_all_19_vectors():
    fusion = make_fusion("mean", DLIB18)
    torch.testing.assert_close(fusion(LOCAL, GLOBAL), fusion.widen((LOCAL.sum(1) + GLOBAL) / 19))
