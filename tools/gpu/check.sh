#!/usr/bin/env bash
# Prove on a machine with one GPU what needs one, in ten minutes: a probe, the tests for a card, then the benchmark.
#     tools/gpu/check.sh [--rehearse] [--pack FOLDER] [--out FOLDER] [--seconds N]
# --rehearse does all of it on the processor at small sizes. --pack is what tools/gpu/pack.sh made, for a machine without a
# network. Each part has a time limit, and all together have 540 seconds (a rehearsal has three times as long). Results are
# written at once; OUT/gpu_check.tar.gz holds them all, and tools/gpu/report.py makes a table of it. The status is 1 if a
# part failed.
set -euo pipefail
root=$(CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
out=$root/exp/gpu_check pack='' rehearse=false seconds=''
while [ $# -gt 0 ]; do
    case $1 in
        --rehearse) rehearse=true && shift ;;
        --help)
            sed -n '2,/^[^#]/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"
            exit
            ;;
        --pack | --out | --seconds)
            [ $# -ge 2 ] || { echo "check.sh: $1 wants a value" >&2; exit 2; }
            case $1 in
                --pack) pack=$2 ;;
                --out) out=$2 ;;
                --seconds) seconds=$2 ;;
            esac
            shift 2
            ;;
        *)
            echo "check.sh: $1: no such option; see the head of the file" >&2
            exit 2
            ;;
    esac
done
mkdir -p "$out"
out=$(cd "$out" && pwd)
cd "$root"
slower=1
[ "$rehearse" = false ] || slower=3
end=$((SECONDS + ${seconds:-$((540 * slower))}))
failed=0
export PYTHONPATH=$root PYTHONUNBUFFERED=1

# pack_results: put what there is into OUT/gpu_check.tar.gz; a file that grows in the folder being packed makes tar fail
pack_results() {
    local packed
    packed=$(mktemp)
    tar -C "$out" --exclude=gpu_check.tar.gz --exclude=site -czf "$packed" .
    mv "$packed" "$out/gpu_check.tar.gz"
}

# part NAME LIMIT COMMAND...: run a part for at most LIMIT seconds of those that are left; its output goes to OUT/NAME.log
part() {
    local name=$1 limit=$(($2 * slower)) left=$((end - SECONDS)) begin=$SECONDS status=0
    shift 2
    if [ "$left" -lt 10 ]; then
        status=124
    else
        timeout "$((limit < left ? limit : left))" "$@" > "$out/$name.log" 2>&1 || status=$?
    fi
    [ "$status" -eq 0 ] || failed=1
    printf '%s\t%s\t%s\n' "$name" "$status" "$((SECONDS - begin))" | tee -a "$out/parts.tsv"
    pack_results
}

# alone CASE LIMIT: time ours alone
alone() {
    part "$1.alone" "$2" python tools/run_benchmark.py --cases "$1" --size "$size" --device "$device" --rounds "$rounds" \
        --alone --out "$out/alone"
}

# bench CASE LIMIT: time ours alone, then beside the peer, whose failure costs only the comparison; a rehearsal does the second
bench() {
    [ "$rehearse" = true ] || alone "$1" "$2"
    part "$1.peer" "$2" python tools/run_benchmark.py --cases "$1" --size "$size" --device "$device" --rounds "$rounds" \
        --out "$out/peer"
}

: > "$out/parts.tsv"
device=cuda size=real rounds=5
if [ "$rehearse" = true ]; then
    device=cpu size=quick rounds=1
    export C2SER_REHEARSE=1
elif ! python -c 'import sys, torch; sys.exit(not torch.cuda.is_available())'; then
    echo "check.sh: no GPU here; --rehearse runs on the processor" >&2
    exit 1
fi
if [ -n "$pack" ]; then
    part install 60 python -m pip install -q --no-index --no-deps --no-compile --target "$out/site" "$pack"/*.whl
    export PYTHONPATH=$out/site:$PYTHONPATH
    [ ! -f "$pack/fcnf0++.pt" ] || { mkdir -p tools/penn && cp -n "$pack/fcnf0++.pt" tools/penn/; }
fi

part probe 120 python tools/gpu/probe.py --device "$device" --out "$out/probe.json"
part tests 150 python -m pytest -p no:cacheprovider -n 0 -m gpu tests/test_gpu.py tests/test_decoding.py
bench train_step 120
bench decode_latency_labels 60
bench decode_latency_implicit 60
last=bench
[ "$rehearse" = false ] || last=alone # not all peers are installed where it is rehearsed
"$last" whisper_encoder 40
"$last" decode_latency_explicit 60
"$last" penn_pitch 40
"$last" decode_throughput 100
"$last" e2v_extract 40
"$last" e2v_pretrain_step 50
python tools/gpu/report.py --results "$out" | tee "$out/table.md"
pack_results
exit "$failed"
