"""Projectors: encoder features of one stream -> K tokens of the LLM's width.

Shapes: B clips, T positions, D feature width, H LLM width, K tokens. Every projector has the same call:
`projector(features [B, T, D], mask bool [B, T]) -> [B, K, H]`, and adding one means adding a class here and
its name to `PROJECTORS`. All are built as `Projector(D, H, K, config, max_positions)`; only those that number
the positions use the last. Source: Lian et al. 2025 (arXiv 2501.16566), section 4, "token-level and pre-fusion".
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class FeatureNorm(nn.Module):
    """Standardise features by the mean and deviation of the training set (set once, saved with the model)."""

    def __init__(self, width: int, noise: float = 0.0):
        super().__init__()
        self.noise = noise
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("deviation", torch.ones(width))

    def set(self, mean: Tensor, deviation: Tensor) -> None:
        """Take the statistics [D] of a training set."""
        self.mean.copy_(mean)
        # A channel that never moves must not be blown up by a division by almost nothing.
        self.deviation.copy_(torch.where(deviation > 1e-4, deviation, torch.ones_like(deviation)))

    def forward(self, features: Tensor) -> Tensor:
        standard = ((features.float() - self.mean) / self.deviation).clamp(-10, 10)
        if self.training and self.noise:
            standard = standard + self.noise * torch.randn_like(standard)
        return standard.to(features.dtype)


class Head(nn.Module):
    """Map pooled features to the LLM's width: one linear layer, or two with a GELU between."""

    def __init__(self, width: int, out: int, hidden: int, dropout: float):
        super().__init__()
        if hidden:
            self.layers = nn.Sequential(nn.Dropout(dropout), nn.Linear(width, hidden), nn.GELU(), nn.Dropout(dropout),
                                        nn.Linear(hidden, out))
        else:
            self.layers = nn.Sequential(nn.Dropout(dropout), nn.Linear(width, out))

    def forward(self, features: Tensor) -> Tensor:
        return self.layers(features)


class MeanProjector(nn.Module):
    """z = mean over time of Z; H = W z + b, copied to K tokens."""

    def __init__(self, width: int, out: int, tokens: int, config, max_positions: int = 0):
        super().__init__()
        self.tokens = tokens
        self.head = Head(width, out, config.projector_hidden, config.dropout)

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        projected = self.head(masked_mean(features, mask))
        return projected.unsqueeze(1).expand(-1, self.tokens, -1)


class AttentionProjector(nn.Module):
    """a = scorer(Z) [B, T, Q]; z = aᵀ Z; H = head(z).

    With `attention_softmax`, every token has its own scorer (Q = K) and scores are a softmax over the valid
    positions. Without (published): one scorer (Q = 1), raw scores multiply the features, and the one projected
    vector is copied to K tokens.
    """

    def __init__(self, width: int, out: int, tokens: int, config, max_positions: int = 0):
        super().__init__()
        self.tokens = tokens
        self.softmax = config.attention_softmax
        self.scorer = nn.Linear(width, tokens if self.softmax else 1)
        self.head = Head(width, out, config.projector_hidden, config.dropout)
        if self.softmax:
            # Tokens that start from the same pooled vector would stay copies of each other.
            self.token_offset = nn.Parameter(torch.randn(tokens, out) * 0.02)

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        scores = self.scorer(features)
        if not self.softmax:
            scores = scores.masked_fill(~mask[..., None], 0.0)
            pooled = (features * scores).sum(1)
            return self.head(pooled).unsqueeze(1).expand(-1, self.tokens, -1)
        scores = scores.float().masked_fill(~mask[..., None], torch.finfo(torch.float32).min).softmax(1)
        pooled = scores.to(features.dtype).transpose(1, 2) @ features
        return self.head(pooled) + self.token_offset


class QFormerProjector(nn.Module):
    """Z' = Z + time position; Q = Q-Former(K queries, keys and values Z'); H = W Q + b.

    The Q-Former is BLIP-2's with cross-attention in every layer and no text branch (Li et al. 2023,
    arXiv 2301.12597), as in the published system: two layers of BERT-base size.
    """

    def __init__(self, width: int, out: int, tokens: int, config, max_positions: int):
        super().__init__()
        from transformers import Blip2QFormerConfig
        from transformers.models.blip_2.modeling_blip_2 import Blip2QFormerModel

        self.positions = nn.Embedding(max_positions, width)
        self.queries = nn.Parameter(torch.randn(1, tokens, config.qformer_hidden) * 0.02)
        self.qformer = Blip2QFormerModel(Blip2QFormerConfig(
            hidden_size=config.qformer_hidden, num_hidden_layers=config.qformer_layers,
            num_attention_heads=config.qformer_heads, intermediate_size=config.qformer_intermediate,
            encoder_hidden_size=width, cross_attention_frequency=1, use_qformer_text_input=False,
            hidden_dropout_prob=config.qformer_dropout, attention_probs_dropout_prob=config.qformer_dropout,
        ))
        self.head = Head(config.qformer_hidden, out, 0, 0.0)

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        if features.shape[1] > self.positions.num_embeddings:
            raise ValueError(f"the Q-Former has {self.positions.num_embeddings} time positions and was given "
                             f"{features.shape[1]}: sample fewer frames or windows")
        # Positions are counted over what is there, so padding of the batch does not move them.
        index = (mask.long().cumsum(1) - 1).clamp(min=0)
        keys = features + self.positions(index).to(features.dtype)
        # A clip without this stream would have nothing to attend to; its output is never used.
        safe = mask.clone()
        safe[~mask.any(1), 0] = True
        queries = self.queries.to(features.dtype).expand(len(features), -1, -1)
        output = self.qformer(queries, encoder_hidden_states=keys, encoder_attention_mask=safe.long())
        return self.head(output.last_hidden_state.to(features.dtype))


@torch.no_grad()
def word_size(embedding: nn.Module, rows: int = 8192) -> Tensor:
    """Root mean square of word embeddings as the LLM sees them: some families scale what their table holds."""
    count, device = embedding.num_embeddings, embedding.weight.device
    total = sum(embedding(torch.arange(start, min(start + rows, count), device=device)).float().pow(2).sum()
                for start in range(0, count, rows))
    return (total / embedding.weight.numel()).sqrt()


class TokenNorm(nn.Module):
    """Give tokens the root mean square of the LLM's word embeddings, times a learned scale."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.register_buffer("size", torch.ones(()))

    def forward(self, tokens: Tensor) -> Tensor:
        return nn.functional.rms_norm(tokens, tokens.shape[-1:], eps=1e-6) * self.scale * self.size


PROJECTORS = {"attention": AttentionProjector, "mean": MeanProjector, "qformer": QFormerProjector}


def masked_mean(features: Tensor, mask: Tensor) -> Tensor:
    """Mean over the valid positions: [B, T, D], bool [B, T] -> [B, D]; zero where there is none."""
    weights = mask.to(features.dtype)[..., None]
    return (features * weights).sum(1) / weights.sum(1).clamp(min=1)
