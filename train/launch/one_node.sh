#!/usr/bin/env bash
# All GPUs of one machine, or RANKS processes.
#
#   train/launch/one_node.sh RECIPE [key=value ...]
#   RANKS=4 train/launch/one_node.sh affectgpt-qwen2.5-7b train.zero_stage=2
#   JOB=train/extract_features.py RANKS=8 train/launch/one_node.sh RECIPE --store features/

. "$(dirname "$0")/common.sh"
case "${1:-}" in "" ) usage 2 ;; -h | --help ) usage ;; esac
ranks="$(count_ranks)"
share_threads "$ranks"
exec "$PYTHON" -m torch.distributed.run --standalone --nproc-per-node="$ranks" "$JOB" "$@"
