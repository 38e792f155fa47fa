import numpy as np
import pytest
import torch
from networks import build, seen

from dfer.schemas.keypoints import DLIB18
from dfer.train.config import RecipeConfig
from dfer.train.engine.objective import objective
from dfer.train.engine.optim import make_optimiser
from dfer.train.models.keypoint.keypoint_graph import INIT_SCALE, KeypointGraph
from dfer.train.models.keypoint.settings import KeypointSettings


@pytest.mark.parametrize("adjacency", ["mean", "sum"])
def test_a_step_equals_the_formula_with_loops(adjacency):
    torch.manual_seed(0)
    graph = KeypointGraph(DLIB18, channels=12, outputs=5, adjacency=adjacency).double()
    graph.relation.data.normal_()
    local_features = torch.randn(2, 18, 12, dtype=torch.float64)
    global_features = torch.randn(2, 12, dtype=torch.float64)
    neighbours = {k: [b if a == k else a for a, b in DLIB18.edges if k in (a, b)] for k in range(18)}
    weight, bias = (p.detach().numpy() for p in graph.fc.parameters())
    relation = graph.relation.detach().numpy()
    points, faces = graph(local_features, global_features)
    for b in range(2):
        v, g = local_features[b].numpy(), global_features[b].numpy()
        np.testing.assert_allclose(faces[b].detach(), np.maximum(weight @ g + bias, 0), atol=1e-12)
        for k in range(18):
            gate = max(v[k] @ relation @ g / 12, 0)
            message = gate * {"mean": np.mean, "sum": np.sum}[adjacency](
                [v[n] for n in neighbours[k]], axis=0
            )
            expected = np.maximum(weight @ (message + v[k]) + bias, 0)
            # The adjacency's rows (1/2, 1/3, …) are single precision.
            np.testing.assert_allclose(points[b, k].detach(), expected, rtol=1e-6)


def test_without_messages_only_the_shared_fc_remains():
    graph = KeypointGraph(DLIB18, channels=12, outputs=5, message_passing=False)
    assert {name for name, _ in graph.named_parameters()} == {"fc.weight", "fc.bias"}
    local_features, global_features = torch.randn(2, 18, 12), torch.randn(2, 12)
    points, faces = graph(local_features, global_features)
    torch.testing.assert_close(points, torch.relu(graph.fc(local_features)))
    torch.testing.assert_close(faces, torch.relu(graph.fc(global_features)))


def test_w_learn_starts_as_a_multiple_of_the_identity_plus_small_noise():
    torch.manual_seed(0)
    noise = KeypointGraph(DLIB18).relation.detach() - INIT_SCALE * torch.eye(512)
    assert abs(noise.std() / 0.01 - 1) < 0.02 and abs(noise.mean()) < 1e-4


def test_the_edge_gate_starts_near_one_for_every_keypoint_of_real_faces(real_input):
    """With noise alone, the ReLU is closed for all key-points with most seeds: no message and no gradient."""
    frames, keypoints = (part[:, ::4].flatten(0, 1) for part in real_input)
    for seed in range(4):
        network = build(KeypointSettings(), classes=6, num_frames=2, seed=seed, keypoints=DLIB18)
        with torch.no_grad():
            features = network.attention(network.backbone(frames))
            gate = network.graph.edge_gate(*network.keypoint_features(features, keypoints))
        assert gate.shape == (12, 18, 1)
        assert 0.75 < gate.mean() < 1.25
        assert gate.min() > 0.4 and gate.max() < 2.2


@pytest.mark.parametrize(("optimiser", "learning_rate"), [("adam", 1e-3), ("sgd", 1e-2)])
def test_the_edge_gate_stays_finite_in_training(real_input, optimiser, learning_rate):
    """As printed, without the division by C, it is 512 times as large and the network diverges."""
    frames, keypoints = (part[:, :2] for part in real_input)
    frames = torch.nn.functional.avg_pool3d(frames, (1, 4, 4))  # (6, 2, 3, 28, 28)
    labels = torch.arange(6)
    recipe = RecipeConfig(optimiser=optimiser, learning_rate=learning_rate)
    config = KeypointSettings(depth=1, stage_strides=(1, 2, 2, 1))
    network = build(config, classes=6, num_frames=2, seed=0, keypoints=DLIB18)
    trained, loss = make_optimiser(network, recipe), objective(recipe, labels.numpy(), network)
    inputs_of_fc = []
    network.graph.fc.register_forward_pre_hook(lambda module, inputs: inputs_of_fc.append(inputs[0].detach()))
    for _ in range(20):
        trained.zero_grad()
        value = loss.total(network(seen(frames, keypoints)), labels) / 6
        value.backward()
        trained.step()
        assert torch.isfinite(value)
    assert all(torch.isfinite(vectors).all() for vectors in inputs_of_fc)
    assert value < 1.5  # of ln 6 = 1.8: it learns
