"""The recipe of a training run: sections (its settings), rules (contradictions), typed (how text becomes settings)."""

from affectgpt.config.recipe import load_recipe, recipe_folder, recipe_to_dict, save_recipe
from affectgpt.config.sections import CorpusSection, DataSection, ModelSection, Recipe, TrainSection

__all__ = ["CorpusSection", "DataSection", "ModelSection", "Recipe", "TrainSection", "load_recipe", "recipe_folder",
           "recipe_to_dict", "save_recipe"]
