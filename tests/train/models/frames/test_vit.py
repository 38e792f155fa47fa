import networks
import pytest
import torch

from dfer.schemas.support.errors import UserError
from dfer.train.models.frames.vit import VitConfig, VitFrames

SMALL = {"width": 24, "depth": 2, "heads": 3, "mlp_width": 48, "units": 16}


def test_parameters_are_those_of_vit_b_16():
    """86 567 656 with 1000 classes at 224 px, as torchvision's vit_b_16; Dosovitskiy et al. 2021 print 86 M."""
    network = networks.on_meta(VitFrames, networks.task(4, 224, 1000))
    assert networks.count(network) == 86_567_656
    network = networks.on_meta(VitFrames, networks.task(4, 224))
    assert networks.count(network) == pytest.approx(86e6, rel=0.03)


def test_the_lstm_adds_its_gates():
    plain = networks.on_meta(VitFrames, networks.task(4, 224))
    network = networks.on_meta(VitFrames, networks.task(4, 224), temporal="lstm")
    gates = 4 * (768 * 512 + 512 * 512 + 2 * 512)
    assert networks.count(network) == networks.count(plain) + gates - 7 * (768 - 512)


def test_an_image_of_224_px_is_196_patches_and_the_class_token():
    network = networks.on_meta(VitFrames, networks.task(4, 224)).backbone
    assert network.patches(torch.empty(1, 3, 224, 224, device="meta")).shape == (1, 768, 14, 14)
    assert network.positions.shape == (1, 197, 768)
    assert network(torch.empty(5, 3, 224, 224, device="meta")).shape == (5, 768)


@pytest.mark.parametrize(("temporal", "ordered"), [("mean", False), ("lstm", True)])
def test_every_parameter_learns_and_only_an_lstm_sees_the_order_of_the_frames(temporal, ordered):
    network = networks.seeded(VitFrames, networks.task(4, 32), temporal=temporal, **SMALL)
    with torch.no_grad():
        network.head.weight.normal_()  # else differences are too small to see
    assert networks.order_matters(network, networks.clips(networks.task(4, 32))) == (ordered, ordered)
    assert networks.without_gradient(network, networks.clips(networks.task(4, 32))) == []


def test_places_of_the_image_matter_by_their_positions():
    network = networks.seeded(VitFrames, networks.task(4, 32), **SMALL).backbone.eval()
    image = networks.clips(networks.task(4, 32), 1).frames[0]
    mirrored = torch.cat(
        [image[..., 16:], image[..., :16]], dim=3
    )  # patches change places, none changes inside
    with torch.no_grad():
        assert not torch.allclose(network(image), network(mirrored), atol=1e-6)
        network.positions.zero_()
        torch.testing.assert_close(network(image), network(mirrored))


def test_what_does_not_fit_is_refused():
    with pytest.raises(UserError, match="--image-size 100: ViT needs a multiple of its patch, --patch 16"):
        networks.on_meta(VitFrames, networks.task(4, 100))
    with pytest.raises(UserError, match="--heads 5: must divide --width 24"):
        VitConfig(width=24, heads=5)
    with pytest.raises(UserError, match="--average probabilities needs --temporal mean"):
        VitConfig(temporal="lstm", average="probabilities")
