"""The starter's visual encoder: a small convolutional network that was trained on facial expressions.

Architecture and weights of face-api's expression network (MIT, see NOTICE): four densely summed blocks of
separable convolutions, 112 x 112 RGB in, 7 x 7 positions of 256 channels, one linear layer to seven emotions.
Its own pixel scaling is part of the model, so it takes plain 8-bit crops. It was trained on tight ones: a
margin around the face costs accuracy.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel
from transformers.utils import ModelOutput

EXPRESSION_LABELS = ("neutral", "happy", "sad", "angry", "fearful", "disgusted", "surprised")
"""Order of the network's outputs: fixed by its weights, and the order of `words.basic.BASIC_EMOTIONS` too."""


class FaceExpressionConfig(PreTrainedConfig):
    """Configuration of `FaceExpressionModel`.

    Args:
        channels: width of each block; the last one is the width of the features.
        convolutions: convolutions in a block.
        image_size: height and width that the network was trained at.
        pixel_mean: red, green and blue mean, in 0..255, taken off before dividing by 255.
    """

    model_type = "face_expression"

    def __init__(
        self,
        channels: list[int] | tuple[int, ...] = (32, 64, 128, 256),
        convolutions: int = 4,
        image_size: int = 112,
        pixel_mean: list[float] | tuple[float, ...] = (122.782, 117.001, 104.298),
        **kwargs,
    ) -> None:
        self.channels = list(channels)
        self.convolutions = convolutions
        self.image_size = image_size
        self.pixel_mean = list(pixel_mean)
        self.hidden_size = self.channels[-1]
        kwargs.pop("hidden_size", None)
        if "id2label" not in kwargs and "num_labels" not in kwargs:
            kwargs["id2label"] = dict(enumerate(EXPRESSION_LABELS))
            kwargs["label2id"] = {label: index for index, label in enumerate(EXPRESSION_LABELS)}
        super().__init__(**kwargs)


@dataclass
class FaceExpressionOutput(ModelOutput):
    """What the network says about N pictures; width C, P positions (7 x 7, row by row).

    Args:
        last_hidden_state: [N, P, C] features of each position.
        pooler_output: [N, C] their mean over positions.
        logits: [N, 7] scores over `config.id2label`.
    """

    last_hidden_state: Tensor | None = None
    pooler_output: Tensor | None = None
    logits: Tensor | None = None


class _Separable(nn.Module):
    """Depthwise then pointwise convolution; the size is the input's divided by the stride."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.stride = stride
        padding = 1 if stride == 1 else 0
        self.depthwise = nn.Conv2d(inputs, inputs, 3, stride, padding, groups=inputs, bias=False)
        self.pointwise = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.pointwise(self.depthwise(_pad_for_stride(x) if self.stride == 2 else x))


class _Block(nn.Module):
    """Halves the size; each convolution sees the sum of all earlier ones of its block."""

    def __init__(self, inputs: int, outputs: int, convolutions: int, first: bool) -> None:
        super().__init__()
        self.first = first
        start = nn.Conv2d(inputs, outputs, 3, 2) if first else _Separable(inputs, outputs, 2)
        self.convolutions = nn.ModuleList(
            [start, *(_Separable(outputs, outputs) for _ in range(convolutions - 1))]
        )

    def forward(self, x: Tensor) -> Tensor:
        start = self.convolutions[0]
        total = x = start(_pad_for_stride(x) if self.first else x).relu()
        for convolution in self.convolutions[1:]:
            total = total + convolution(x)
            x = total.relu()
        return x


def _pad_for_stride(x: Tensor) -> Tensor:
    """TensorFlow's "same" padding for a 3 x 3 kernel of stride 2: an even size is padded at its end only."""
    height, width = x.shape[-2:]
    return F.pad(x, (width % 2, 1, height % 2, 1))


class FaceExpressionModel(PreTrainedModel):
    """Face crops -> expression features and seven emotion scores."""

    config_class = FaceExpressionConfig
    base_model_prefix = "face_expression"
    main_input_name = "pixel_values"
    input_modalities = ("image",)

    def __init__(self, config: FaceExpressionConfig) -> None:
        super().__init__(config)
        widths = [3, *config.channels]
        self.blocks = nn.ModuleList(
            _Block(inputs, outputs, config.convolutions, first=index == 0)
            for index, (inputs, outputs) in enumerate(zip(widths, widths[1:]))
        )
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)
        self.post_init()

    def forward(self, pixel_values: Tensor, return_dict: bool = True) -> FaceExpressionOutput | tuple:
        """Run the network.

        pixel_values: [N, 3, H, W] RGB in 0..255, uint8 or float, of any size; it was trained at 112 x 112.

        Raises:
            ValueError: another shape.
        """
        if pixel_values.ndim != 4 or pixel_values.shape[1] != 3:
            raise ValueError(f"pixel_values is {list(pixel_values.shape)}: give RGB pictures as "
                             "[N, 3, height, width]")
        x = self._scale(pixel_values)
        for block in self.blocks:
            x = block(x)
        positions = x.flatten(2).transpose(1, 2)
        pooled = positions.mean(1)
        output = FaceExpressionOutput(positions, pooled, self.classifier(pooled))
        return output if return_dict else output.to_tuple()

    def _scale(self, pixels: Tensor) -> Tensor:
        """Scale to the network's size and take the mean off, in float32; then change to the weights' type."""
        x = pixels.float()
        size = self.config.image_size
        if x.shape[-2:] != (size, size):
            x = F.interpolate(x, (size, size), mode="bilinear", antialias=True)
        mean = torch.tensor(self.config.pixel_mean, device=x.device).view(1, 3, 1, 1)
        # channels last: depthwise convolutions on a CPU are about 1.5 times as fast
        return ((x - mean) / 255).to(self.dtype, memory_format=torch.channels_last)


AutoConfig.register(FaceExpressionConfig.model_type, FaceExpressionConfig, exist_ok=True)
AutoModel.register(FaceExpressionConfig, FaceExpressionModel, exist_ok=True)
