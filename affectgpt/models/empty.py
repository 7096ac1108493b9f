"""Models without weights: built in no time and no memory, to be filled from files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import get_ident

from torch import Tensor, nn
from transformers.initialization import no_init_weights


@contextmanager
def empty_weights() -> Iterator[None]:
    """Modules that are built here (by this thread) have parameters on the meta device, and their buffers as usual.

    Unlike under `torch.device("meta")`, tables that no file holds (rotary frequencies, filter banks) are real.
    """
    register, thread = nn.Module.register_parameter, get_ident()

    def register_empty(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        if parameter is not None and not parameter.is_meta and get_ident() == thread:
            parameter = nn.Parameter(parameter.detach().to("meta"), requires_grad=parameter.requires_grad)
        register(module, name, parameter)

    nn.Module.register_parameter = register_empty
    try:
        with no_init_weights():
            yield
    finally:
        nn.Module.register_parameter = register


def put_tensor(model: nn.Module, name: str, tensor: Tensor) -> None:
    """Make a tensor the parameter or buffer `name`, without copying it."""
    place, _, own = name.rpartition(".")
    module = model.get_submodule(place)
    before = module._parameters.get(own)
    if before is None:
        module._buffers[own] = tensor
    else:
        trained = before.requires_grad and tensor.is_floating_point()
        module._parameters[own] = nn.Parameter(tensor, requires_grad=trained)


def tied_names(model: nn.Module) -> dict[str, str]:
    """Name -> the name that the same parameter has before; of a tied head, that of the embeddings."""
    first: dict[int, str] = {}
    return {name: first[id(parameter)] for name, parameter in model.named_parameters(remove_duplicate=False)
            if first.setdefault(id(parameter), name) != name}
