import pytest
import torch

from dfer.schemas.support.errors import UserError
from dfer.train.models.frames.vit import VitConfig, VitFrames

SMALL = {"width": 24, "depth": 2, "heads": 3, "mlp_width": 48, "units": 16}


def test_parameters_are_those_of_vit_b_16(bench):
    """86 567 656 with 1000 classes at 224 px, as torchvision's vit_b_16; Dosovitskiy et al. 2021 print 86 M."""
    network = bench.build(VitFrames, classes=1000, size=224, device="meta")
    assert bench.parameters(network) == 86_567_656
    network = bench.build(VitFrames, classes=7, size=224, device="meta")
    assert bench.parameters(network) == pytest.approx(86e6, rel=0.03)


def test_the_lstm_adds_its_gates(bench):
    plain = bench.build(VitFrames, size=224, device="meta")
    network = bench.build(VitFrames, size=224, temporal="lstm", device="meta")
    gates = 4 * (768 * 512 + 512 * 512 + 2 * 512)
    assert bench.parameters(network) == bench.parameters(plain) + gates - 7 * (768 - 512)


def test_an_image_of_224_px_is_196_patches_and_the_class_token(bench):
    network = bench.build(VitFrames, size=224, device="meta").backbone
    assert network.patches(torch.empty(1, 3, 224, 224, device="meta")).shape == (1, 768, 14, 14)
    assert network.positions.shape == (1, 197, 768)
    assert network(torch.empty(5, 3, 224, 224, device="meta")).shape == (5, 768)


@pytest.mark.parametrize(("temporal", "ordered"), [("mean", False), ("lstm", True)])
def test_every_parameter_learns_and_only_an_lstm_sees_the_order_of_the_frames(bench, temporal, ordered):
    network = bench.build(VitFrames, temporal=temporal, **SMALL)
    with torch.no_grad():
        network.head.weight.normal_()  # else differences are too small to see
    assert bench.order_matters(network, bench.clips()) == (ordered, ordered)
    assert bench.untrained(network, bench.clips()) == []


def test_places_of_the_image_matter_by_their_positions(bench):
    network = bench.build(VitFrames, **SMALL).backbone.eval()
    image = bench.clips(clips=1).frames[0]
    mirrored = torch.cat(
        [image[..., 16:], image[..., :16]], dim=3
    )  # patches change places, none changes inside
    with torch.no_grad():
        assert not torch.allclose(network(image), network(mirrored), atol=1e-6)
        network.positions.zero_()
        torch.testing.assert_close(network(image), network(mirrored))


def test_what_does_not_fit_is_refused(bench):
    with pytest.raises(UserError, match="--image-size 100: ViT needs a multiple of its patch, --patch 16"):
        bench.build(VitFrames, size=100, device="meta")
    with pytest.raises(UserError, match="--heads 5: must divide --width 24"):
        VitConfig(width=24, heads=5)
    with pytest.raises(UserError, match="--average probabilities needs --temporal mean"):
        VitConfig(temporal="lstm", average="probabilities")
