import numpy as np
import torch

from schemas.keypoints import DLIB18
from train.config import NetworkConfig
from train.model.keypoint_graph import KeypointGraph
from train.model.network import build


def test_a_step_equals_the_formula_with_loops():
    torch.manual_seed(0)
    graph = KeypointGraph(channels=12, outputs=5).double()
    graph.relation.data.normal_()
    local, whole = torch.randn(2, 18, 12, dtype=torch.float64), torch.randn(2, 12, dtype=torch.float64)
    neighbours = {k: [b if a == k else a for a, b in DLIB18.edges if k in (a, b)] for k in range(18)}
    weight, bias = (p.detach().numpy() for p in graph.fc.parameters())
    relation = graph.relation.detach().numpy()
    points, faces = graph(local, whole)
    for b in range(2):
        v, g = local[b].numpy(), whole[b].numpy()
        np.testing.assert_allclose(faces[b].detach(), np.maximum(weight @ g + bias, 0), atol=1e-12)
        for k in range(18):
            related = max(v[k] @ relation @ g / 12, 0)
            message = related * np.mean([v[n] for n in neighbours[k]], axis=0)
            expected = np.maximum(weight @ (message + v[k]) + bias, 0)
            # The adjacency's rows (1/2, 1/3, …) are kept in single precision.
            np.testing.assert_allclose(points[b, k].detach(), expected, rtol=1e-6)


def test_without_messages_only_the_shared_layer_is_left():
    graph = KeypointGraph(channels=12, outputs=5, message=False)
    assert {name for name, _ in graph.named_parameters()} == {"fc.weight", "fc.bias"}
    local, whole = torch.randn(2, 18, 12), torch.randn(2, 12)
    points, faces = graph(local, whole)
    torch.testing.assert_close(points, torch.relu(graph.fc(local)))
    torch.testing.assert_close(faces, torch.relu(graph.fc(whole)))


def test_the_weights_are_finite_and_no_larger_than_one_at_the_start(real_input):
    """As printed, without the division by C, they are 512 times as large and the network diverges."""
    for seed in range(3):
        network = build(NetworkConfig(), classes=6, num_frames=8, seed=seed)
        frames, keypoints = (part.flatten(0, 1) for part in real_input)
        with torch.no_grad():
            features = network.attention(network.backbone(frames))
            weights = network.graph.weights(*network.keypoint_features(features, keypoints))
        assert weights.shape == (48, 18, 1)
        assert torch.isfinite(weights).all()
        assert weights.min() >= 0 and weights.max() < 1
