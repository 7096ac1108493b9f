#!/usr/bin/env bash
# Several machines, named in a file of DeepSpeed's kind: one line `HOST slots=RANKS` each; the first is the meeting
# point.
#
#   train/launch/hostfile.sh HOSTFILE RECIPE [key=value ...]
#   PORT=29501 train/launch/hostfile.sh cluster.txt affectgpt-qwen2.5-7b train.zero_stage=3
#
# The checkout, its environment and the data must lie at the same paths on every machine, reachable by ssh without a
# password. Hosts named localhost or 127.0.0.1 are started here, without ssh. One that fails stops the others.

. "$(dirname "$0")/common.sh"
case "${1:-}" in "" ) usage 2 ;; -h | --help ) usage ;; esac
hostfile="$1"
shift
[ -f "$hostfile" ] || { echo "error: $hostfile: no such hostfile" >&2; exit 2; }
hosts=() slots=()
while read -r host rest; do
    case "$host" in "" | "#"*) continue ;; esac
    case "$rest" in
        slots=[0-9]*) hosts+=("$host"); slots+=("$(echo "${rest#slots=}" | grep -o '^[0-9]*')") ;;
        *) echo "error: $hostfile: '$host $rest' must be 'HOST slots=RANKS'" >&2; exit 2 ;;
    esac
done < "$hostfile"
[ "${#hosts[@]}" -gt 0 ] || { echo "error: $hostfile names no host" >&2; exit 2; }

processes=()
stop_all() { for process in "${processes[@]}"; do kill "$process" 2> /dev/null || true; done; }
trap 'stop_all; exit 130' INT TERM
for node in "${!hosts[@]}"; do
    command=("$PYTHON" -m torch.distributed.run --nnodes="${#hosts[@]}" --node-rank="$node"
        --nproc-per-node="${slots[$node]}" --master-addr="${hosts[0]}" --master-port="${PORT:-29500}" "$JOB" "$@")
    threads="${OMP_NUM_THREADS:-1}"
    case "${hosts[$node]}" in
        localhost | 127.*) OMP_NUM_THREADS="$threads" "${command[@]}" & ;;
        # A terminal (-tt), so that a closed connection ends what runs there.
        *) ssh -tt -o BatchMode=yes "${hosts[$node]}" "cd $(printf %q "$PWD") && OMP_NUM_THREADS=$threads \
OMP_WAIT_POLICY=$OMP_WAIT_POLICY TOKENIZERS_PARALLELISM=$TOKENIZERS_PARALLELISM \
$(printf '%q ' "${command[@]}")" < /dev/null & ;;
    esac
    processes+=("$!")
done
code=0
for _ in "${processes[@]}"; do
    wait -n || { code=$?; stop_all; break; }
done
wait || true
exit "$code"
