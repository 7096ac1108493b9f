"""Pre-fusion: encoder features of audio and of one visual stream -> K tokens that carry both.

Works on encoder outputs Z, not on projected tokens (the paper measured the latter as worse). Source: Lian et
al. 2025 (arXiv 2501.16566), section 4; a scorer of two stacked linear layers as in the official code.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from affectgpt.models.projectors import Head, QFormerProjector, masked_mean


class AttentionFusion(nn.Module):
    """v' = W_v mean(Z_v), a' = W_a mean(Z_a); s = W_2 W_1 [v'; a']; f = s_1 v' + s_2 a'; H = head(f).

    With `attention_softmax` the two scores sum to one; without (published) they are used as they come.
    """

    def __init__(self, audio_width: int, visual_width: int, out: int, tokens: int, config):
        super().__init__()
        width = min(max(audio_width, visual_width), config.fusion_width or 10**9)
        self.tokens = tokens
        self.softmax = config.attention_softmax
        self.audio_map = nn.Linear(audio_width, width)
        self.visual_map = nn.Linear(visual_width, width)
        self.scorer_hidden = nn.Linear(2 * width, width)
        self.scorer = nn.Linear(width, 2)
        self.head = Head(width, out, config.projector_hidden, config.dropout)
        if self.softmax:
            self.token_offset = nn.Parameter(torch.randn(tokens, out) * 0.02)

    def forward(self, audio: Tensor, audio_mask: Tensor, visual: Tensor, visual_mask: Tensor) -> Tensor:
        """[B, T_a, D_a], [B, T_v, D_v] and their masks -> [B, K, H]."""
        audio = self.audio_map(masked_mean(audio, audio_mask))
        visual = self.visual_map(masked_mean(visual, visual_mask))
        scores = self.scorer(self.scorer_hidden(torch.cat([visual, audio], dim=-1)))
        if self.softmax:
            scores = scores.softmax(-1)
        fused = scores[:, :1] * visual + scores[:, 1:] * audio
        tokens = self.head(fused).unsqueeze(1).expand(-1, self.tokens, -1)
        return tokens + self.token_offset if self.softmax else tokens


class QFormerFusion(nn.Module):
    """X = [W_v Z_v; W_a Z_a] + position; H = W Q-Former(K queries, X) + b."""

    MAX_POSITIONS = 264

    def __init__(self, audio_width: int, visual_width: int, out: int, tokens: int, config):
        super().__init__()
        width = min(max(audio_width, visual_width), config.fusion_width or 10**9)
        self.audio_map = nn.Linear(audio_width, width)
        self.visual_map = nn.Linear(visual_width, width)
        self.projector = QFormerProjector(width, out, tokens, config, self.MAX_POSITIONS)

    def forward(self, audio: Tensor, audio_mask: Tensor, visual: Tensor, visual_mask: Tensor) -> Tensor:
        """[B, T_a, D_a], [B, T_v, D_v] and their masks -> [B, K, H]."""
        both = torch.cat([self.visual_map(visual), self.audio_map(audio)], dim=1)
        return self.projector(both, torch.cat([visual_mask, audio_mask], dim=1))


FUSIONS = {"attention": AttentionFusion, "qformer": QFormerFusion}
