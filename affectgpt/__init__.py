"""AffectGPT: train, run, judge and release multimodal LLMs that describe human emotion."""

__version__ = "0.1.0"

# In a checkout, the top-level folders train/, eval/ and configs/ are affectgpt.train, .eval and .configs, also where
# nothing is installed; an installation finds them inside the package.
from pathlib import Path as _Path

_checkout = _Path(__file__).resolve().parent.parent
if (_checkout / "setup.py").is_file() and (_checkout / "train" / "__init__.py").is_file():
    __path__.append(str(_checkout))

# An extra for other people's video models; without it this does nothing.
from affectgpt import torchvision_import as _torchvision_import  # noqa: E402

_torchvision_import.install()
