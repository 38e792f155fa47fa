import pytest
import torch

from dfer.schemas.support.errors import UserError
from dfer.train.engine.device import choose_device


def test_auto_and_cpu_work_everywhere():
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device("auto").type in ("cpu", "cuda", "mps")


@pytest.mark.parametrize("name", ["quantum", "meta", "xpu", "CPU", "cuda:-1", ""])
def test_an_unknown_device_is_reported_with_the_known_ones(name):
    with pytest.raises(UserError) as caught:
        choose_device(name)
    assert str(caught.value) == f"--device {name}: unknown device; give auto, cpu, cuda or mps"


@pytest.mark.parametrize("name", ["cuda:99", "mps:9"])
def test_a_missing_device_is_reported(name):
    with pytest.raises(UserError) as caught:
        choose_device(name)
    assert str(caught.value) == f"--device {name}: this machine has no {name}; give auto or cpu"


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_cuda_on_a_machine_without_it_is_reported():
    with pytest.raises(UserError, match="--device cuda: this machine has no cuda; give auto or cpu"):
        choose_device("cuda")
