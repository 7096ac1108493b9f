"""Peaks of known GPUs, and figures that can be read."""

from __future__ import annotations

import pytest

from affectgpt.train.flops import operations_text, peak_of_name


@pytest.mark.parametrize(("name", "peak"), [
    ("NVIDIA H100 80GB HBM3", 989e12), ("NVIDIA H100 PCIe", 756e12), ("NVIDIA H100 NVL", 835e12),
    ("NVIDIA H200", 989e12),
    ("NVIDIA H200 NVL", 835e12), ("NVIDIA GH200 480GB", 989e12), ("NVIDIA B200", 2250e12), ("NVIDIA H20", 148e12),
    ("NVIDIA A100-SXM4-80GB", 312e12), ("NVIDIA A100-PCIE-40GB", 312e12), ("NVIDIA L40S", 362e12),
    ("NVIDIA L4", 121e12),
    ("NVIDIA A10G", 70e12), ("NVIDIA RTX A6000", 155e12), ("Tesla V100-SXM2-32GB", 125e12),
    ("NVIDIA H100 80GB HBM3 MIG 1g.10gb", None), ("NVIDIA H100 of another kind", None), ("NVIDIA A1000", None),
])
def test_a_peak_is_that_of_the_whole_name(name, peak):
    assert peak_of_name(name) == peak


def test_a_slow_machine_has_a_figure_too():
    assert [operations_text(value) for value in (989e12, 1.25e12, 35.24e9, 2.1e6)] == [
        "989 TFLOP/s", "1.25 TFLOP/s", "35.2 GFLOP/s", "2.1 MFLOP/s"]
