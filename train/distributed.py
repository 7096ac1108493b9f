"""The processes of a run: starting and stopping them as one group, and the few things that they tell each other."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist

from affectgpt.errors import describe_error

DEVICES = ("auto", "cpu", "cuda")
_PLACE = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "DS_ACCELERATOR")
_earlier: dict[str, str | None] = {}
"""What `start` changed in the environment, so that `stop` can put it back."""
_with_deepspeed: list[str] = []
"""Version of DeepSpeed where it has joined the process group."""


WAIT = timedelta(days=7)
"""How long ranks wait for a message of another one, which may be extracting features or checking media for hours.
One that has ended is noticed at once, since its connection closes."""


@dataclass(frozen=True)
class World:
    """The place of this process among all processes of the run. Every method but `is_main` is collective.

    `sum` and `share_weights` move tensors on the device, within the timeout of the run; all others are messages
    between the hosts (gloo), for which ranks wait as long as it takes.
    """

    rank: int
    size: int
    local_rank: int
    device: torch.device
    messages: Any = field(default=None, compare=False, repr=False)
    """The process group of messages; None where there is one rank."""

    @property
    def is_main(self) -> bool:
        return self.rank == 0

    def sum(self, values: list[float] | torch.Tensor) -> list[float]:
        """Element-wise sum of numbers or of a tensor over all ranks, in float64; every rank gets it."""
        total = torch.as_tensor(values, dtype=torch.float64, device=self.device)
        if self.size > 1:
            dist.all_reduce(total)
        return total.tolist()

    def gather(self, value: Any) -> list:
        """`value` of every rank, in the order of ranks; every rank gets the list. It is pickled: keep it small."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value, self.messages)
        return values

    def all_ok(self, ok: bool, message: str = "") -> bool:
        """True where all ranks are well; otherwise every rank stops, so that none waits for one that has failed.

        Raises:
            ValueError: on every rank, with the messages of the ranks that are not.
        """
        reports = self.gather(None if ok else message or "failed without a message")
        failed = [(rank, report) for rank, report in enumerate(reports) if report is not None]
        if failed:
            raise ValueError("; ".join(report if self.size == 1 else f"rank {rank}: {report}"
                                       for rank, report in failed))
        return True

    def from_main(self, function: Callable[[], Any]) -> Any:
        """What `function` gives on rank 0, which alone calls it; every rank gets it. It is pickled: keep it small.

        Raises:
            ValueError: on every rank, where it raised ValueError or OSError.
        """
        value = failure = None
        if self.is_main:
            try:
                value = function()
            except (ValueError, OSError) as error:
                failure = error
        value, problem = self.gather((value, describe_error(failure) if failure else None))[0]
        if failure is not None:
            raise failure
        if problem is not None:
            raise ValueError(f"rank 0: {problem}")
        return value

    def share_weights(self, model) -> None:
        """Give every rank the trained weights and the buffers of rank 0."""
        if self.size > 1:
            self.barrier()  # whoever is early waits here and not within the timeout of a tensor
            tensors = [p.data for p in model.parameters() if p.requires_grad] + [b.data for b in model.buffers()]
            for tensor in tensors:
                dist.broadcast(tensor, 0)

    def barrier(self) -> None:
        """Wait until every rank is here."""
        if self.size > 1:
            dist.barrier(self.messages)


def start(device: str = "auto", deepspeed: bool = False, timeout_minutes: float = 60.0) -> World:
    """Join the process group that the launcher describes; a plain `python` is one rank of one.

    A process group is made where there are several ranks or DeepSpeed needs one: gloo for tensors on the CPU, nccl for
    those on a GPU.

    Args:
        device: auto takes CUDA where there is any.
        deepspeed: DeepSpeed will run the training.
        timeout_minutes: how long a rank waits for the tensors of another one before the run fails.
    Raises:
        ValueError: an unknown device, CUDA where there is none, more ranks than GPUs on this machine, DeepSpeed not
            installed, half of a launcher's variables, or a second start.
    """
    if dist.is_initialized():
        raise ValueError("the process group runs already: call train.distributed.stop() before start()")
    rank, size, local_rank = _place()
    chosen = _device(device, local_rank)
    if deepspeed and importlib.util.find_spec("deepspeed") is None:
        raise ValueError("DeepSpeed is asked for and not installed: pip install deepspeed, or choose the torch engine")
    if size == 1 and not deepspeed:
        return World(rank, size, local_rank, chosen)
    _earlier.update({name: os.environ.get(name) for name in _PLACE})
    try:
        os.environ.update(RANK=str(rank), LOCAL_RANK=str(local_rank), WORLD_SIZE=str(size))
        if chosen.type == "cpu":
            os.environ["DS_ACCELERATOR"] = "cpu"
        # One process needs no address, and so no port that another program might take first.
        where = {"init_method": "env://"} if size > 1 else {"store": dist.HashStore()}
        dist.init_process_group("cpu:gloo,cuda:nccl" if chosen.type == "cuda" else "gloo", rank=rank, world_size=size,
                                timeout=timedelta(minutes=timeout_minutes), **where)
        messages = dist.new_group(backend="gloo", timeout=WAIT) if size > 1 else None
        if deepspeed:
            _start_deepspeed(chosen)
    except BaseException:
        stop()
        raise
    return World(rank, size, local_rank, chosen, messages)


def stop() -> None:
    """Leave the process group; does nothing where there is none."""
    if dist.is_initialized():
        # DeepSpeed keeps groups of its own, which must not outlive the world.
        (sys.modules["deepspeed.comm"] if _with_deepspeed else dist).destroy_process_group()
    _with_deepspeed.clear()
    for name, value in _earlier.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    _earlier.clear()


def _place() -> tuple[int, int, int]:
    """(rank, number of ranks, rank on this machine) that the launcher gave in the environment."""
    needed = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
    size = int(os.environ.get("WORLD_SIZE", "1"))
    missing = [name for name in needed if name not in os.environ]
    if size > 1 and missing:
        raise ValueError(f"WORLD_SIZE is {size}, but {', '.join(missing)} is not set: start the ranks with torchrun or "
                         "a script of train/launch/")
    if size == 1:
        return 0, 1, int(os.environ.get("LOCAL_RANK", "0"))
    rank = int(os.environ["RANK"])
    return rank, size, int(os.environ.get("LOCAL_RANK", rank))


def _device(name: str, local_rank: int) -> torch.device:
    if name not in DEVICES:
        raise ValueError(f"device is {name}: choose one of {', '.join(DEVICES)}")
    if name == "cpu" or (name == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    count = torch.cuda.device_count()
    if local_rank >= count:
        raise ValueError(f"rank {local_rank} of this machine has no GPU: PyTorch sees {count}. Start at most {count} "
                         "ranks here, or set the device to cpu")
    torch.cuda.set_device(local_rank)
    return torch.device("cuda", local_rank)


def _start_deepspeed(device: torch.device) -> None:
    """Let DeepSpeed adopt the process group, without compiling anything."""
    import deepspeed
    import deepspeed.ops
    from deepspeed.accelerator import get_accelerator

    if get_accelerator().device_name() != device.type:
        raise ValueError(f"DeepSpeed works on {get_accelerator().device_name()} (DS_ACCELERATOR, or it was imported "
                         f"before the run started), and the run is on {device.type}: set both to the same device")
    try:
        # Its shared-memory all-reduce would be compiled at the first start and fail where there is no compiler.
        deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    except (AttributeError, TypeError) as error:
        raise ValueError(f"DeepSpeed {deepspeed.__version__} has no ops.__compatible_ops__, by which the compilation "
                         "of its shared-memory operation is avoided: install the version of requirements/") from error
    deepspeed.init_distributed(dist_backend="nccl" if device.type == "cuda" else "gloo", verbose=False)
    _with_deepspeed.append(deepspeed.__version__)
