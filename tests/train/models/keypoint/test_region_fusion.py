import torch

from dfer.train.models.keypoint.region_fusion import FUSIONS, GlobalFusion, RegionFusion


def test_structure_is_the_mean_of_each_region_beside_the_whole():
    local, whole = torch.randn(3, 18, 128), torch.randn(3, 128)
    regions = [local[:, 0:5].mean(1), local[:, 5:10].mean(1), local[:, 10:16].mean(1), whole]
    torch.testing.assert_close(RegionFusion()(local, whole), torch.cat(regions, 1))
    assert sum(p.numel() for p in RegionFusion().parameters()) == 0


def test_the_nose_bridge_belongs_to_no_region():
    local, whole = torch.randn(3, 18, 128), torch.randn(3, 128)
    moved = local.clone()
    moved[:, 16:] += 100
    torch.testing.assert_close(RegionFusion()(local, whole), RegionFusion()(moved, whole))


def test_every_fusion_ends_in_512_numbers_a_frame_and_sees_all_it_should():
    local, whole = torch.randn(3, 18, 128), torch.randn(3, 128)
    for fusion in (kind() for kind in FUSIONS.values()):
        assert fusion(local, whole).shape == (3, fusion.outputs) == (3, 512)
        assert not torch.allclose(fusion(local, whole), fusion(local, whole + 1))
        sees_keypoints = not torch.allclose(fusion(local, whole), fusion(local + 1, whole))
        assert sees_keypoints == (not isinstance(fusion, GlobalFusion))


def test_mean_fusion_is_the_mean_over_all_19_vectors():
    fusion = FUSIONS["mean"]()
    local, whole = torch.randn(3, 18, 128), torch.randn(3, 128)
    torch.testing.assert_close(fusion(local, whole), fusion.widen((local.sum(1) + whole) / 19))
