"""The model: encoders -> projectors and pre-fusion -> tokens spliced into the LLM's input -> loss or text.

Shapes: B clips, T frames or sound windows, P time positions, D encoder width, H LLM width, K tokens a stream,
S sequence tokens, N clips that have a stream.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutputWithPast

from affectgpt.models.attention import packed_arguments
from affectgpt.models.configuration import AffectGPTConfig
from affectgpt.models.encoders import AudioEncoder, VisualEncoder
from affectgpt.models.folders import FolderMethods
from affectgpt.models.fusion import FUSIONS
from affectgpt.models.greedy import greedy_config
from affectgpt.models.head import LogitRule, check_logits
from affectgpt.models.layout import Layout
from affectgpt.models.llm_checks import check_lora_targets
from affectgpt.models.loss import labelled_loss
from affectgpt.models.merged_lora import can_merge
from affectgpt.models.projectors import PROJECTORS, FeatureNorm, TokenNorm, word_size
from affectgpt.models.splice import find_places, splice
from affectgpt.models.streams import MEDIA_STREAMS, VISUAL_STREAMS
from affectgpt.models.trained_parts import TrainedParts


@dataclass
class AffectGPTOutput(CausalLMOutputWithPast):
    """Loss and logits, and what a training run looks at.

    `token_losses` [N] of the N labelled positions and `token_clips` [N], the clip of each; `stream_tokens` is
    name -> (tokens [B, K, H], present bool [B]).
    """

    token_losses: Tensor | None = None
    token_clips: Tensor | None = None
    stream_tokens: dict[str, tuple[Tensor, Tensor]] | None = None


class AffectGPTForConditionalGeneration(FolderMethods, TrainedParts, PreTrainedModel):
    """AffectGPT: any subset of `audio`, `face` and `frame` a clip, as raw tensors or as encoder features.

    A raw stream is told from features by its number of axes: sound [B, T, 1, L] and pictures
    [B, T, 3, height, width] are raw; [B, P, D] are features.
    """

    config_class = AffectGPTConfig
    base_model_prefix = ""
    main_input_name = "input_ids"
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_attention_backend = True
    generation_config = None  # that of a folder, where one was read

    def __init__(self, config: AffectGPTConfig, language_model: nn.Module | None = None,
                 audio_model: nn.Module | None = None, visual_model: nn.Module | None = None,
                 merge_lora: bool = False):
        super().__init__(config)
        if language_model is None:
            language_model = AutoModelForCausalLM.from_config(config.text_config)
        if config.lora_rank:
            check_lora_targets(language_model, config.lora_targets)
        # Where weights are loaded to answer with, LoRA is added to them, and no adapter modules are made.
        self.lora_merged = merge_lora and can_merge(language_model)
        if config.lora_rank and not self.lora_merged:
            # PEFT is not needed to answer, and code that a model folder carries goes without it.
            language_model = importlib.import_module("affectgpt.models.lora").with_lora(language_model, config)
        self.language_model = language_model
        self.autocast_dtype: torch.dtype | None = None  # set where the whole LLM is trained, in float32
        self.logit_rule = LogitRule.of(config.text_config)
        width = config.text_config.get_text_config().hidden_size
        self.audio_encoder = self.visual_encoder = self.fusion = None
        self.norms, self.projectors = nn.ModuleDict(), nn.ModuleDict()
        kind = PROJECTORS[config.projector]
        if "audio" in config.streams:
            self.audio_encoder = AudioEncoder(config, audio_model)
            self.projectors["audio"] = kind(self._width("audio"), width, config.audio_tokens, config,
                                            config.audio_position_rows)
        if config.visual_streams:
            self.visual_encoder = VisualEncoder(config, visual_model)
            for stream in config.visual_streams:
                if config.shared_visual_projection and "visual" in self.projectors:
                    continue
                name = "visual" if config.shared_visual_projection else stream
                self.projectors[name] = kind(self._width(stream), width, config.tokens_of(stream), config,
                                             config.visual_position_rows)
        if config.feature_norm:
            for stream in MEDIA_STREAMS:
                if stream in config.streams:
                    self.norms[stream] = FeatureNorm(self._width(stream), config.feature_noise)
        if "fusion" in config.streams:
            self.fusion = FUSIONS[config.fusion](self._width("audio"), self._width(config.fusion_visual), width,
                                                 config.fusion_tokens, config)
        self.token_norms = nn.ModuleDict()
        if config.token_norm:
            self.token_norms.update({stream: TokenNorm() for stream in config.media_streams})
            size = word_size(language_model.get_input_embeddings())
            for norm in self.token_norms.values():
                if not size.is_meta:  # of weights that are read later; their file knows the size
                    norm.size.copy_(size)

    def _width(self, stream: str) -> int:
        encoder = self.audio_encoder if stream == "audio" else self.visual_encoder
        return encoder.feature_dim

    # ------------------------------------------------------------------ streams

    def encode(self, stream: str, values: Tensor, mask: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Raw tensors of one stream -> features [B, P, D] and mask [B, P]; features pass through unchanged."""
        if values.ndim == 3:
            return values, mask
        if stream == "audio":
            return self.audio_encoder(values, mask, lengths)
        return self.visual_encoder(values, mask)

    def encode_streams(self, audio=None, audio_mask=None, audio_lengths=None, face=None, face_mask=None, frame=None,
                       frame_mask=None) -> dict[str, tuple[Tensor, Tensor]]:
        """Features [B, P, D] and masks [B, P] of the streams that are given.

        Raises:
            ValueError: a stream that the model does not look at.
        """
        given = {"audio": (audio, audio_mask), "face": (face, face_mask), "frame": (frame, frame_mask)}
        streams = {}
        for stream, (values, mask) in given.items():
            if values is None:
                continue
            if stream not in self.config.streams:
                raise ValueError(f"this model does not look at {stream}: it has {', '.join(self.config.streams)}")
            if mask is None:
                mask = torch.ones(values.shape[:2], dtype=torch.bool, device=values.device)
            lengths = audio_lengths if stream == "audio" else None
            streams[stream] = self.encode(stream, values, mask.bool(), lengths)
        return streams

    def stream_tokens(self, streams: dict[str, tuple[Tensor, Tensor]]) -> dict[str, tuple[Tensor, Tensor]]:
        """Features and masks of streams -> LLM tokens.

        Args:
            streams: name -> (features [B, P, D], mask bool [B, P]).
        Returns:
            name -> (tokens [B, K, H], present bool [B]); with `fusion` where the model has it.
        """
        weights_dtype = next(self.projectors.parameters()).dtype
        normal = {}
        for stream, (features, mask) in streams.items():
            features = features.to(weights_dtype)
            if stream in self.norms:
                features = self.norms[stream](features) * mask[..., None]
            normal[stream] = (features, mask)
        tokens = {}
        for stream, (features, mask) in normal.items():
            name = "visual" if stream in VISUAL_STREAMS and "visual" in self.projectors else stream
            tokens[stream] = (self.projectors[name](features, mask), mask.any(1))
        visual = self.config.fusion_visual
        if self.fusion is not None and "audio" in normal and visual in normal:
            present = tokens["audio"][1] & tokens[visual][1]
            tokens["fusion"] = (self.fusion(*normal["audio"], *normal[visual]), present)
        for stream, norm in self.token_norms.items():
            if stream in tokens:
                tokens[stream] = (norm(tokens[stream][0]), tokens[stream][1])
        return tokens

    def embed(self, input_ids: Tensor, clip_ids: Tensor | None = None, tokens: dict | None = None,
              placeholder_places: Tensor | None = None, **streams) -> Tensor:
        """Token embeddings [B, S, H] with the placeholder tokens replaced by the streams' tokens.

        Args:
            clip_ids: [B, S], the clip of each token; by default every row is one clip.
            tokens: what `stream_tokens` gave; made of `streams` (raw or features, with masks) where it is None.
            placeholder_places: [2, M] of `models.splice.find_places`, which checks them; found here where it is None.
        Raises:
            ValueError: a stream without placeholders, placeholders without their stream, or a wrong count.
        """
        if tokens is None:
            encoded = self.encode_streams(**streams)
            tokens = self.stream_tokens(encoded) if encoded else {}
        if placeholder_places is None:
            if clip_ids is None:
                clip_ids = torch.arange(len(input_ids), device=input_ids.device)[:, None].expand_as(input_ids)
            placeholder_places = find_places(self.config, input_ids, clip_ids,
                                             {stream: present for stream, (_, present) in tokens.items()})
        # Placeholder ids lie outside the embedding table; any row serves, it is overwritten.
        is_placeholder = torch.zeros_like(input_ids, dtype=torch.bool)
        for token_id in self.config.placeholder_ids.values():
            is_placeholder |= input_ids == token_id
        embeds = self.language_model.get_input_embeddings()(input_ids.masked_fill(is_placeholder, 0))
        if self.autocast_dtype is not None:
            embeds = embeds.to(self.autocast_dtype)
        return splice(self.config, embeds, tokens, placeholder_places)

    # ------------------------------------------------------------------ language model

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None, labels: Tensor | None = None,
                audio=None, audio_mask=None, audio_lengths=None, face=None, face_mask=None, frame=None,
                frame_mask=None, position_ids: Tensor | None = None, clip_ids: Tensor | None = None,
                layout: Tensor | None = None, placeholder_places: Tensor | None = None,
                label_places: Tensor | None = None, num_items_in_batch=None,
                return_logits: bool | None = None) -> AffectGPTOutput:
        """Loss and logits of a batch.

        Args:
            input_ids: [B, S] with K placeholder ids for each stream that a clip has.
            labels: [B, S], -100 where nothing is to be learned.
            position_ids, clip_ids: [1, S] of clips packed into one row (`models.collate.collate_packed`); attention
                does not cross from one to the other.
            layout: [C, 1 + K] of those clips and their branches (`models.layout`); found in `position_ids` where it is
                None. It is read on the host: leave it there.
            placeholder_places, label_places: where placeholders [2, M] and labelled positions [N] stand, as
                `models.collate` finds them; found here where they are None, for which the host waits for the device.
            num_items_in_batch: labelled tokens of the whole optimizer step; the loss is summed and divided by it.
            return_logits: [B, S, vocabulary]; by default only where there are no labels, since the LM head is
                otherwise computed for labelled positions alone.
        """
        if clip_ids is not None:
            layout = Layout.from_positions(position_ids).tensor() if layout is None else layout.cpu()
        streams = self.encode_streams(audio, audio_mask, audio_lengths, face, face_mask, frame, frame_mask)
        if labels is not None:
            streams = self._for_training(streams, len(input_ids) if clip_ids is None else len(layout))
        tokens = self.stream_tokens(streams) if streams else {}
        embeds = self.embed(input_ids, clip_ids, tokens, placeholder_places)
        if return_logits is None:
            return_logits = labels is None
        packed = {"attention_mask": attention_mask}
        if clip_ids is not None:
            llm = self.language_model.get_decoder().config
            packed = packed_arguments(llm._attn_implementation, layout, embeds.dtype, embeds.device,
                                      windows=bool(getattr(llm, "sliding_window", None)))
        with self._mixed_precision(embeds):
            hidden = self._hidden(embeds, position_ids=position_ids, **packed)
            head = self.language_model.get_output_embeddings()
            loss = token_losses = token_clips = None
            if labels is not None:
                token_losses, where = labelled_loss(head, hidden, labels, rule=self.logit_rule, where=label_places)
                token_clips = (where // labels.shape[1]) if clip_ids is None else clip_ids.flatten()[where]
                total = num_items_in_batch if num_items_in_batch is not None else max(1, len(where))
                loss = token_losses.sum() / total
            logits = self.logit_rule.apply(head(hidden)) if return_logits else None
        return AffectGPTOutput(loss=loss, logits=logits, stream_tokens=tokens, token_clips=token_clips,
                               token_losses=token_losses.detach() if token_losses is not None else None)

    def _hidden(self, embeds: Tensor, **arguments) -> Tensor:
        """The LLM's last hidden states [B, S, H], as its head takes them."""
        hidden = self.language_model.get_decoder()(inputs_embeds=embeds, use_cache=False, **arguments).last_hidden_state
        if self.autocast_dtype is None:
            hidden = hidden.to(self.language_model.get_output_embeddings().weight.dtype)
        return hidden

    def check_logits(self) -> None:
        """Raise ValueError where the LLM's own forward pass gives other logits than this model's."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.dtype_of_llm == torch.bfloat16):
            check_logits(self.language_model, self.config.llm, lambda embeds: self.logit_rule.apply(
                self.language_model.get_output_embeddings()(self._hidden(embeds))))

    def _for_training(self, streams: dict, clips: int) -> dict:
        """Streams, with an empty one for each that no clip of the batch has.

        So every trained part takes part in every training pass: where ranks work together, one that left a
        projector out would wait for the others for ever.
        """
        complete = {}
        for stream in MEDIA_STREAMS:
            if stream not in self.config.streams:
                continue
            empty = (torch.zeros(clips, 1, self._width(stream), device=self.device),
                     torch.zeros(clips, 1, dtype=torch.bool, device=self.device))
            values, mask = streams.get(stream, empty)
            encoder = self.audio_encoder if stream == "audio" else self.visual_encoder
            trained = [p for p in encoder.parameters() if p.requires_grad]
            if trained:  # also where it ran: some encoders have parts that a forward pass does not reach
                values = values + 0.0 * sum(p.sum() for p in trained)
            complete[stream] = (values, mask)
        return complete

    @torch.no_grad()
    def generate(self, input_ids: Tensor, attention_mask: Tensor | None = None, audio=None, audio_mask=None,
                 audio_lengths=None, face=None, face_mask=None, frame=None, frame_mask=None, **kwargs) -> Tensor:
        """New tokens [B, at most max_new_tokens] after left-padded prompts; arguments as for the LLM's `generate`.

        Greedy, but for what the arguments ask: what the LLM's own folder says of generation does not count. Padding and
        ends are those of the model's own generation_config.json, unless they are given.
        """
        own = self.generation_config
        ends = {} if own is None else {"pad_token_id": own.pad_token_id, "eos_token_id": own.eos_token_id}
        self.language_model.generation_config = greedy_config(**ends)
        embeds = self.embed(input_ids, audio=audio, audio_mask=audio_mask, audio_lengths=audio_lengths, face=face,
                            face_mask=face_mask, frame=frame, frame_mask=frame_mask)
        # The last states of a batch lie apart in memory; on a CPU, torch would copy the head's matrix for each row.
        hook = self.language_model.get_output_embeddings().register_forward_pre_hook(
            lambda head, inputs: (inputs[0].contiguous(), *inputs[1:]))
        try:
            with self._mixed_precision(embeds):
                return self.language_model.generate(inputs_embeds=embeds, attention_mask=attention_mask, **kwargs)
        finally:
            hook.remove()

    def _mixed_precision(self, embeds: Tensor):
        """What is trained is float32 and computed in the LLM's bfloat16; in float32 nothing is cast."""
        needed = embeds.dtype == torch.bfloat16 and not self.lora_merged
        # Autocast keeps its copy of every float32 weight until the pass ends: with a whole LLM that is half of it
        # again, kept although checkpointing or ZeRO 3 let go of all else.
        return torch.autocast(embeds.device.type, torch.bfloat16, enabled=needed,
                              cache_enabled=self.autocast_dtype is None)

    def get_input_embeddings(self):
        return self.language_model.get_input_embeddings()

    def activation_checkpointing_enable(self, *args, **kwargs):
        self.language_model.activation_checkpointing_enable(*args, **kwargs)

    def train(self, mode: bool = True):
        """Frozen encoders stay in evaluation mode: their dropout would be noise on the features."""
        super().train(mode)
        for encoder in (self.audio_encoder, self.visual_encoder):
            if encoder is not None and not any(parameter.requires_grad for parameter in encoder.parameters()):
                encoder.eval()
        return self


AutoConfig.register("affectgpt", AffectGPTConfig, exist_ok=True)
AutoModelForCausalLM.register(AffectGPTConfig, AffectGPTForConditionalGeneration, exist_ok=True)
AutoModelForImageTextToText.register(AffectGPTConfig, AffectGPTForConditionalGeneration, exist_ok=True)
