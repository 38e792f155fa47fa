"""The device that is named, and what is said of one that is not there."""

import pytest
import torch

from dfer.schemas.support.errors import UserError
from dfer.train.engine.device import choose_device

NO_SUCH = "no such device; give auto, cpu, cuda or mps"


def test_auto_and_cpu_are_devices_that_work():
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device("auto").type in ("cpu", "cuda", "mps")


@pytest.mark.parametrize("name", ["quantum", "meta", "xpu", "CPU", "cuda:-1", ""])
def test_a_name_of_no_device_is_told_those_there_are(name):
    with pytest.raises(UserError) as caught:
        choose_device(name)
    assert str(caught.value) == f"--device {name}: {NO_SUCH}"


@pytest.mark.parametrize("name", ["cuda:99", "mps:9"])
def test_a_device_that_this_machine_lacks_is_said_to_be_lacking(name):
    with pytest.raises(UserError) as caught:
        choose_device(name)
    assert str(caught.value) == f"--device {name}: this machine has no {name}; give auto or cpu"


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_a_kind_that_this_machine_lacks_altogether_is_said_so():
    with pytest.raises(UserError, match="--device cuda: this machine has no cuda; give auto or cpu"):
        choose_device("cuda")
