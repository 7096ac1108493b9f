"""Pretrained encoders behind one interface: raw tensors in, features of a few time positions out.

Shapes: B clips, T sampled frames or sound windows, P time positions, D feature width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from transformers import AutoModel, WhisperModel
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from affectgpt.models.windows import MIN_WINDOW_SAMPLES


class Released(nn.Module):
    """What is left of an encoder that only stored features pass: its configuration, without weights."""

    def __init__(self, config):
        super().__init__()
        self.config = config

    def forward(self, *arguments, **keywords):
        raise ValueError("this model's encoders were let go, because it is trained on stored features: raw sound and "
                         "pictures need a model that has them")


class Encoder(nn.Module):
    """What both encoders share; `model` is the pretrained one."""

    def release(self) -> None:
        """Drop the weights, which nobody asks any more where features come from a store."""
        self.model = Released(self.model.config)

    @property
    def released(self) -> bool:
        return isinstance(self.model, Released)


class AudioEncoder(Encoder):
    """Whisper's encoder, or HuBERT, WavLM, wav2vec 2.0 and data2vec, as features of a clip's sound.

    `audio_pooling="segment"` gives one vector a window (T positions; published system, section 1.2 of its
    description: mean of the last four layers, mean over time). `"positions"` joins the windows in time and
    splits the whole into `audio_positions` equal parts, each with its mean (and deviation) over time.
    """

    def __init__(self, config, model: nn.Module | None = None):
        super().__init__()
        self.model_type = config.audio_config.model_type
        model = model if model is not None else audio_model_from_config(config.audio_config)
        self.model = model.encoder if isinstance(model, WhisperModel) else model
        if self.model_type == "whisper":
            from transformers.audio_utils import mel_filter_bank

            bank = mel_filter_bank(201, self.model.config.num_mel_bins, 0.0, 8000.0, 16000, "slaney", "slaney")
            self.register_buffer("mel_filters", torch.tensor(bank, dtype=torch.float32), persistent=False)
        if hasattr(self.model.config, "apply_spec_augment"):
            # Masks of numpy's generator, which no seed of a run reaches, and an error on windows shorter than a mask.
            self.model.config.apply_spec_augment = False
        self.normalisation = config.audio_normalisation
        self.layers = config.audio_layers
        self.pooling = config.audio_pooling
        self.positions = config.audio_positions
        self.statistics = config.audio_statistics
        self.level = config.audio_level and self.pooling == "positions"

    @property
    def feature_dim(self) -> int:
        """D of the features."""
        model_config = self.model.config
        width = getattr(model_config, "d_model", None) or model_config.hidden_size
        if self.layers == "all":
            width *= getattr(model_config, "encoder_layers", None) or model_config.num_hidden_layers
        if self.pooling == "positions" and self.statistics == "mean_std":
            width *= 2
        return width + int(self.level)

    def forward(self, audio: Tensor, mask: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Encode the sound of clips; a clip's features never depend on the other clips of the batch.

        Args:
            audio: [B, T, 1, L] 16 kHz samples in [-1, 1].
            mask: bool [B, T], True where a window exists.
            lengths: int [B, T], valid samples of each window; L where None.
        Returns:
            features [B, P, D] and their mask bool [B, P] (P = T for segment pooling).
        """
        batch, windows, _, samples = audio.shape
        if lengths is None:
            lengths = torch.full((batch, windows), samples, device=audio.device)
        audio = audio[:, :, 0].float()
        positions = windows if self.pooling == "segment" else self.positions
        features = torch.zeros(batch, positions, self.feature_dim, device=audio.device)
        out_mask = torch.zeros(batch, positions, dtype=torch.bool, device=audio.device)
        # Windows of one length run together: no padding enters an encoder, so neighbours cannot matter.
        groups: dict[int, list[tuple[int, int]]] = {}
        # One copy to the host for all windows: each by itself would wait for the device.
        there, samples_of = mask.tolist(), lengths.tolist()
        for row, window in ((row, window) for row in range(batch) for window in range(windows) if there[row][window]):
            length = max(samples_of[row][window], MIN_WINDOW_SAMPLES)
            groups.setdefault(length, []).append((row, window))
        normal = self._normalise(audio, mask, lengths)
        hidden: dict[tuple[int, int], Tensor] = {}
        for length, members in groups.items():
            waves = torch.stack([_padded(normal[row, window, :length], length) for row, window in members])
            for member, states in zip(members, self._hidden(waves), strict=True):
                hidden[member] = states
        for row in range(batch):
            states = [hidden[row, window] for window in range(windows) if (row, window) in hidden]
            if not states:
                continue
            if self.pooling == "segment":
                pooled = torch.stack([state.float().mean(0) for state in states])
                features[row, [window for window in range(windows) if there[row][window]]] = pooled
                out_mask[row] = mask[row]
            else:
                wave = torch.cat([audio[row, w, : samples_of[row][w]] for w in range(windows) if there[row][w]])
                features[row] = self._pool(torch.cat(states).float(), wave)
                out_mask[row] = True
        return features, out_mask

    def _normalise(self, audio: Tensor, mask: Tensor, lengths: Tensor) -> Tensor:
        """Zero mean and unit variance over a window or over all windows of a clip (wav2vec 2.0's rule)."""
        if self.normalisation == "none":
            return audio
        steps = torch.arange(audio.shape[-1], device=audio.device)
        valid = ((steps < lengths[..., None]) & mask[..., None]).float()
        axes = (-1,) if self.normalisation == "segment" else (-2, -1)
        count = valid.sum(axes, keepdim=True).clamp(min=1)
        mean = (audio * valid).sum(axes, keepdim=True) / count
        variance = (((audio - mean) * valid) ** 2).sum(axes, keepdim=True) / count
        return (audio - mean) / torch.sqrt(variance + 1e-7) * valid

    def _hidden(self, waves: Tensor) -> Tensor:
        """Hidden states [N, steps, layers * width] of float32 windows [N, L] of one length.

        Levels, spectra and what is pooled stay float32 in whatever format the encoder computes.
        """
        dtype = next(self.model.parameters()).dtype
        if self.model_type == "whisper":
            states = self._whisper_states(waves, dtype)
        else:
            output = self.model(waves.to(dtype), output_hidden_states=True)
            # The last state is the one after the final layer norm; transformers 5 lists it before.
            states = [*output.hidden_states[:-1], output.last_hidden_state]
        if self.layers == "last":
            return states[-1]
        if self.layers == "last4_mean":
            return torch.stack(states[-4:]).mean(0)
        return torch.cat(states[1:], dim=-1)

    def _whisper_states(self, waves: Tensor, dtype: torch.dtype) -> list[Tensor]:
        """All hidden states for the sound's own length: positions are cut instead of padding to 30 s."""
        encoder = self.model
        spectrum = torch.stft(waves, 400, 160, window=torch.hann_window(400, device=waves.device),
                              return_complex=True)
        power = spectrum[..., :-1].abs() ** 2
        mel = (self.mel_filters.float().T @ power).clamp(min=1e-10).log10()
        mel = torch.maximum(mel, mel.amax(dim=(1, 2), keepdim=True) - 8.0)
        mel = ((mel + 4.0) / 4.0).to(dtype)
        hidden = nn.functional.gelu(encoder.conv1(mel))
        hidden = nn.functional.gelu(encoder.conv2(hidden)).permute(0, 2, 1)
        if hidden.shape[1] > encoder.embed_positions.num_embeddings:
            raise ValueError(f"a sound window of {waves.shape[1] / 16000:.1f} s is longer than the 30 s that Whisper "
                             "hears at once: set audio_window_seconds to 30 or less")
        hidden = hidden + encoder.embed_positions.weight[: hidden.shape[1]]
        states = [hidden]
        for layer in encoder.layers:
            hidden = layer(hidden, None)
            states.append(hidden)
        states[-1] = encoder.layer_norm(hidden)
        return states

    def _pool(self, states: Tensor, wave: Tensor) -> Tensor:
        """[steps, width] -> [P, D]: mean, deviation and sound level of P equal parts of the time."""
        pooled = []
        for states_part, wave_part in zip(_parts(states, self.positions), _parts(wave, self.positions), strict=True):
            part = [states_part.mean(0)]
            if self.statistics == "mean_std":
                part.append(states_part.std(0, correction=0))
            if self.level:
                decibel = 10 * torch.log10(wave_part.float().pow(2).mean() + 1e-10)
                part.append(decibel.reshape(1) / 20)
            pooled.append(torch.cat(part))
        return torch.stack(pooled)


class VisualEncoder(Encoder):
    """CLIP, SigLIP, DINOv2, ViT or the starter's expression network: one vector a picture.

    CLIP gives its projected embedding without L2 normalisation (as the published system uses it), DINOv2 the
    mean of its last hidden states, all others their pooled output.
    """

    def __init__(self, config, model: nn.Module | None = None):
        super().__init__()
        self.model_type = config.visual_config.model_type
        self.model = model if model is not None else visual_model_from_config(config.visual_config)
        self.register_buffer("mean", torch.tensor(config.visual_mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(config.visual_std).view(3, 1, 1), persistent=False)

    @property
    def feature_dim(self) -> int:
        """D of the features."""
        if self.model_type == "clip_vision_model":
            return self.model.config.projection_dim
        return self.model.config.hidden_size

    def forward(self, pixels: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Encode pictures.

        Args:
            pixels: uint8 [B, T, 3, height, width], already of the encoder's size.
            mask: bool [B, T], True where a picture exists.
        Returns:
            features [B, T, D] (zero where masked) and the mask.
        """
        dtype = next(self.model.parameters()).dtype
        features = torch.zeros(*pixels.shape[:2], self.feature_dim, device=pixels.device)
        if mask.any():
            pictures = pixels[mask].float()
            if self.model_type != "face_expression":  # that network scales its own pixels
                pictures = (pictures / 255 - self.mean) / self.std
            output = self.model(pixel_values=pictures.to(dtype))
            if self.model_type == "clip_vision_model":
                vectors = output.image_embeds
            elif self.model_type == "dinov2":
                vectors = output.last_hidden_state.mean(1)
            else:
                vectors = output.pooler_output
            features[mask] = vectors.float()
        return features, mask


class WhisperEncoderHalf(WhisperEncoder):
    """Whisper's encoder, read from the file of a whole Whisper without a word about the other half."""

    _keys_to_ignore_on_load_unexpected = [r"^(model\.)?decoder\.", r"^proj_out\."]


def audio_model_from_config(config) -> nn.Module:
    """An audio encoder with random weights, of the class that `AudioEncoder` expects."""
    return WhisperEncoderHalf(config) if config.model_type == "whisper" else AutoModel.from_config(config)


def visual_model_from_config(config) -> nn.Module:
    """A visual encoder with random weights, of the class that `VisualEncoder` expects."""
    if config.model_type == "clip_vision_model":
        from transformers import CLIPVisionModelWithProjection

        return CLIPVisionModelWithProjection(config)
    return AutoModel.from_config(config)


def _padded(wave: Tensor, length: int) -> Tensor:
    return nn.functional.pad(wave, (0, length - wave.shape[-1]))


def _parts(values: Tensor, count: int) -> list[Tensor]:
    """Split the first axis into `count` nearly equal parts of at least one element (repeated where too short)."""
    total = values.shape[0]
    parts = []
    for index in range(count):
        start = min(index * total // count, total - 1)
        stop = max((index + 1) * total // count, start + 1)
        parts.append(values[start:stop])
    return parts
