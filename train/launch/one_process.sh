#!/usr/bin/env bash
# One process: a CPU, or one GPU.
#
#   train/launch/one_process.sh RECIPE [key=value ...]
#   train/launch/one_process.sh starter train.epochs=5

. "$(dirname "$0")/common.sh"
case "${1:-}" in "" ) usage 2 ;; -h | --help ) usage ;; esac
exec "$PYTHON" "$JOB" "$@"
