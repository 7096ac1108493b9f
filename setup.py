"""Installs the folders train/, eval/ and configs/ as affectgpt.train, affectgpt.eval and affectgpt.configs.

Everything else is said in pyproject.toml. The mapping lives here because it has to be computed.
In an editable install, setuptools turns this mapping into an import finder, so the checkout's own
files are used there too; new modules in these folders need no new install.
"""

from setuptools import find_packages, setup

JOB_FOLDERS = ("train", "eval", "configs")

packages = find_packages(include=["affectgpt", "affectgpt.*"])
for folder in JOB_FOLDERS:
    packages.append(f"affectgpt.{folder}")
    packages.extend(f"affectgpt.{folder}.{name}" for name in find_packages(folder))

setup(packages=packages, package_dir={f"affectgpt.{folder}": folder for folder in JOB_FOLDERS})
