"""Between a slice view and the square canvas of a SAM-type network: boxes, labels and maps, there and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch.nn import functional

from ..segmentor import Encoding, Prediction
from .base import HeadInputs
from .context import resized


@dataclass(frozen=True)
class Canvas:
    """Where a slice view lies on the grid of the decoder's logits: in the top left corner, the rest is padding.

    shape : (H, W) of the slice view. size : (h, w) of the grid. filled : rows and columns of it that the view fills.
    """

    shape: tuple[int, int]
    size: tuple[int, int]
    filled: tuple[int, int]

    def boxes(self, boxes: np.ndarray | torch.Tensor) -> torch.Tensor:
        """Boxes (B, 4) x0, y0, x1, y1 in pixels of the slice view, in pixels of the grid; float32."""
        rows, columns = self.filled[0] / self.shape[0], self.filled[1] / self.shape[1]
        return torch.as_tensor(boxes, dtype=torch.float32) * torch.tensor([columns, rows, columns, rows])

    def valid(self) -> torch.Tensor:
        """(1, h, w), True where the slice view is."""
        mask = torch.zeros(1, *self.size, dtype=torch.bool)
        mask[:, : self.filled[0], : self.filled[1]] = True
        return mask

    def from_view(self, maps: torch.Tensor, labels: bool = False) -> torch.Tensor:
        """(B, C, H, W) of the slice view on the grid, padded with 0; `labels` takes the nearest instead of means."""
        if labels:
            small = functional.interpolate(maps.float(), size=self.filled, mode="nearest-exact").to(maps.dtype)
        else:
            small = resized(maps.float(), self.filled)
        return functional.pad(small, (0, self.size[1] - self.filled[1], 0, self.size[0] - self.filled[0]))

    def to_view(self, maps: torch.Tensor) -> torch.Tensor:
        """(B, C, h, w) of the grid on the slice view, (B, C, H, W), linear like the segmentor's logits.

        Bring probabilities back, not logits: then what adds up to 1 before does so after.
        """
        cropped = maps[..., : self.filled[0], : self.filled[1]]
        return functional.interpolate(cropped.float(), size=self.shape, mode="bilinear")


def canvas_of(encoding: Encoding, prediction: Prediction, fit: Literal["pad", "stretch"]) -> Canvas:
    """The canvas of one encoded slice view; `fit` is the segmentor's (`BoxSegmentor.fit`).

    Raises
    ------
    ValueError : a prediction without `low_res_logits`, or an encoding of a volume.
    """
    if prediction.low_res_logits is None or len(encoding.shape) != 2:
        raise ValueError("a canvas needs the low-resolution logits of one 2D slice view")
    height, width = encoding.shape
    rows, columns = (int(n) for n in prediction.low_res_logits.shape[-2:])
    if fit == "stretch":
        return Canvas((height, width), (rows, columns), (rows, columns))
    network = rows if encoding.image is None else encoding.image.shape[0]
    scale = network / max(height, width)
    filled = [max(1, int(side * scale + 0.5)) for side in (height, width)]
    return Canvas(
        (height, width), (rows, columns), (round(rows * filled[0] / network), round(columns * filled[1] / network))
    )


def sam_inputs(
    canvas: Canvas,
    encoding: Encoding,
    prediction: Prediction,
    boxes: np.ndarray,
    neighbors: torch.Tensor | None = None,
    tokens: torch.Tensor | None = None,
) -> HeadInputs:
    """What a SAM-type head sees of one slice view, on the grid of the decoder's logits.

    Parameters
    ----------
    prediction : asked for with features. boxes : (B, 4) in pixels of the slice view.
    neighbors : (B, N, H, W) logits of neighboring slices on the slice view's grid, or None.
    tokens : (B, J + 1, T) from `SamTokenDecoder`, for heads with tokens.
    """
    if prediction.features is None or prediction.low_res_logits is None or encoding.image is None:
        raise ValueError("a SAM-type head needs decoder features, low-resolution logits and the network's image")
    logits = _trainable(prediction.low_res_logits).unsqueeze(1)
    prompts, device = len(logits), logits.device
    image = torch.from_numpy(np.ascontiguousarray(encoding.image, dtype=np.float32)).to(device)[None, None]
    return HeadInputs(
        logits=logits,
        features=_trainable(prediction.features),
        image=resized(image, canvas.size).expand(prompts, -1, -1, -1),
        boxes=canvas.boxes(boxes).to(device),
        neighbors=None if neighbors is None else canvas.from_view(neighbors).to(device),
        tokens=tokens,
        embedding=_trainable(encoding.features).to(device).float().expand(prompts, -1, -1, -1),
    )


def _trainable(tensor: torch.Tensor) -> torch.Tensor:
    """A copy if the tensor was made in inference mode and a head is being trained on it; else the tensor itself."""
    return tensor.clone() if torch.is_grad_enabled() and tensor.is_inference() else tensor
