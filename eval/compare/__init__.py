"""One table of systems on the same folds: text, textualized cues, features by fusion, AffectGPT, majority."""
