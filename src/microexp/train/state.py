"""What a training is at after some step, as one table of tensors: of networks, and of their optimisers."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from microexp.errors import WeightsError

_MOMENTS = ("step", "exp_avg", "exp_avg_sq")  # what Adam remembers of a parameter


def take_state(
    networks: Mapping[str, nn.Module], optimizers: Mapping[str, torch.optim.Adam], step: int
) -> dict[str, Tensor]:
    """Return all tensors of networks and optimisers, each name begun by its owner's, and the step."""
    state = {
        f"{part}.{key}": value for part, net in networks.items() for key, value in net.state_dict().items()
    }
    for part, optimizer in optimizers.items():
        for index, memory in optimizer.state_dict()["state"].items():
            state.update({f"{part}.{index}.{name}": torch.as_tensor(memory[name]) for name in _MOMENTS})
    return {**state, "step": torch.tensor(step)}


def put_state(
    state: Mapping[str, Tensor],
    networks: Mapping[str, nn.Module],
    optimizers: Mapping[str, torch.optim.Adam],
) -> int:
    """Set networks and optimisers to what `take_state` gave, and return the step.

    Raises
    ------
    WeightsError
        If the tensors are not theirs.
    """
    try:
        for part, net in networks.items():
            net.load_state_dict(_under(state, part))
        for part, optimizer in optimizers.items():
            _load_optimizer(optimizer, _under(state, part))
        return int(state["step"])
    except (KeyError, RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise WeightsError(f"this is no state of such a training: {reason}") from error


def seed_step(seed: int, step: int) -> None:
    """Let whatever a network draws in a step follow from the seed and the step alone."""
    torch.manual_seed(seed * 1_000_003 + step)


def _under(state: Mapping[str, Tensor], part: str) -> dict[str, Tensor]:
    start = f"{part}."
    return {key.removeprefix(start): value for key, value in state.items() if key.startswith(start)}


def _load_optimizer(optimizer: torch.optim.Adam, state: Mapping[str, Tensor]) -> None:
    memory: dict[int, dict[str, Tensor]] = {}
    for key, value in state.items():
        index, name = key.split(".")
        memory.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": memory})
