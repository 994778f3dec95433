"""Every mask that a box segmentor can give for a box: SAM decoders have four tokens, of which segmenting uses one.

SAM was trained to put a whole, a part and a part of a part on tokens 1 to 3 where a prompt is ambiguous, and its single
best guess on token 0. Which of them is which is not fixed.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch

from ..box_segmentor import BoxSegmentor
from ..sam_decoder import BoxDecoder
from ..segmentor import Encoding, Segmentor

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class AllMasks:
    """In the place of a `BoxDecoder`: B boxes to the masks of all T tokens, B * T in the order of the boxes."""

    def __init__(self, decoder: BoxDecoder) -> None:
        self._decoder = decoder

    @property
    def tokens(self) -> int:
        """T, token 0 the one that segmenting uses."""
        return int(self._decoder.mask_decoder.num_mask_tokens)

    def __call__(self, embedding: torch.Tensor, boxes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """See `box_segmentor.Decoder`; the features are those that it would give, left out."""
        inside = self._decoder
        sparse, dense = inside.prompt_encoder(points=None, boxes=boxes, masks=None)
        masks, quality = inside.mask_decoder.predict_masks(embedding, inside.position, sparse, dense)
        return masks.flatten(0, 1), masks.new_empty(0), quality.flatten()


class ManyAnswers:
    """A box segmentor that gives all its masks.

    Attributes
    ----------
    tokens : T, how many it gives for each box; 1 if its decoder is no SAM decoder.
    """

    def __init__(self, segmentor: Segmentor) -> None:
        self.segmentor = segmentor
        self.tokens = 1
        decoder = getattr(segmentor, "decoder", None)
        if isinstance(segmentor, BoxSegmentor) and isinstance(decoder, BoxDecoder):
            everything = AllMasks(decoder)
            self.segmentor, self.tokens = copy.copy(segmentor), everything.tokens
            self.segmentor.decoder = everything

    def logits(self, encoding: Encoding, boxes: NDArray[np.float32]) -> torch.Tensor:
        """(B, T, H, W) logits for boxes (B, 4) x0, y0, x1, y1 in pixels of the slice view."""
        found = self.segmentor.decode(encoding, boxes).logits
        return found.reshape(len(boxes), self.tokens, *found.shape[1:])
