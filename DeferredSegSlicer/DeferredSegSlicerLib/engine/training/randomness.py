"""Random numbers that depend on the seed, the epoch and the item alone, and the generators' states for checkpoints."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch


def seed_everything(seed: int, *place: int) -> None:
    """Seed Python's, numpy's and torch's generators (CPU and GPU) from a seed and a place, such as (epoch, item)."""
    drawn = int(np.random.SeedSequence([seed, *place]).generate_state(1, np.uint64)[0])
    random.seed(drawn)
    np.random.seed(drawn % 2**32)
    torch.manual_seed(drawn)


def random_states() -> dict[str, Any]:
    """States of all generators, as values that `torch.load(weights_only=True)` reads."""
    version, words, gauss = random.getstate()
    numpy_state: Any = np.random.get_state(legacy=False)
    return {
        "python": [version, list(words), gauss],
        "numpy": {
            "key": torch.from_numpy(numpy_state["state"]["key"].astype(np.int64)),
            "pos": int(numpy_state["state"]["pos"]),
            "has_gauss": int(numpy_state["has_gauss"]),
            "gauss": float(numpy_state["gauss"]),
        },
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def restore_random_states(states: Mapping[str, Any]) -> None:
    """Put the generators back; a GPU's state is left out if there are not as many GPUs as before."""
    version, words, gauss = states["python"]
    random.setstate((version, tuple(words), gauss))
    kept = states["numpy"]
    np.random.set_state(
        ("MT19937", kept["key"].numpy().astype(np.uint32), kept["pos"], kept["has_gauss"], kept["gauss"])
    )
    torch.set_rng_state(states["torch"])
    if states["cuda"] and torch.cuda.is_available() and len(states["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(states["cuda"])
