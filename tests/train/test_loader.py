import torch

from train.evaluate import clip_dataset
from train.loader import Loader
from train.sampling import epoch_order, training_view
from train.shards import Cache


def test_worker_processes_give_the_batches_that_this_process_gives(sample_cache):
    cache = Cache(sample_cache)
    dataset = clip_dataset(cache, cache.clips, cache.info.labels)
    here, workers = (Loader(dataset, 4, count, torch.device("cpu")) for count in (0, 2))
    for epoch in range(2):
        order = epoch_order(6, 0, epoch)
        view = lambda clip, epoch=epoch: training_view(5, True, 0, epoch, clip)  # noqa: E731
        batches = list(zip(here.epoch(order, view), workers.epoch(order, view), strict=True))
        assert [len(mine.labels) for mine, _ in batches] == [4, 2]
        for mine, theirs in batches:
            assert all(torch.equal(a, b) for a, b in zip(mine, theirs, strict=True))
        assert torch.cat([mine.clips for mine, _ in batches]).tolist() == order.tolist()
