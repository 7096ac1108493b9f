# Read by the other scripts of this folder: where the job lies, which Python, how many threads and ranks.
set -euo pipefail
LAUNCH="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
JOB="${JOB:-$LAUNCH/../sft.py}"          # another job of train/, for example JOB=train/extract_features.py
PYTHON="${PYTHON:-python}"
export OMP_WAIT_POLICY="${OMP_WAIT_POLICY:-PASSIVE}"      # spinning threads take the cores of other ranks
export TOKENIZERS_PARALLELISM="${TOKENIZERS_PARALLELISM:-false}"

# Ranks of this machine: $RANKS, else one a GPU, else one.
count_ranks() {
    if [ -n "${RANKS:-}" ]; then echo "$RANKS"
    elif command -v nvidia-smi > /dev/null && nvidia-smi -L > /dev/null 2>&1; then nvidia-smi -L | wc -l
    else echo 1; fi
}

# Threads of each of $1 ranks: $OMP_NUM_THREADS, else the cores shared out.
share_threads() {
    export OMP_NUM_THREADS="${OMP_NUM_THREADS:-$(( $(nproc) / $1 > 0 ? $(nproc) / $1 : 1 ))}"
}

# Print the head of the script that calls it, up to its first empty line, and stop.
usage() {
    sed -n '2,/^$/s/^# \{0,1\}//p' "$0"
    exit "${1:-0}"
}
