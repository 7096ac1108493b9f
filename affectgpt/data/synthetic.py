"""The starter corpus lies in `affectgpt.synthetic`; this name is kept for scripts that were written before it moved."""

from affectgpt.synthetic.corpus import make_corpus

__all__ = ["make_corpus"]
