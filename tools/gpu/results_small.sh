#!/usr/bin/env bash
# Fill the tables of docs/results.md on a machine with one GPU: what --size small finds on real speech.
#     tools/gpu/results_small.sh --emodb DIR [--ravdess DIR] [--nemo DIR] [--seconds 540] [-- OPTION of the recipes...]
# EMO-DB's folds answer the paper's questions (local/claims.sh), one seed after the other; the other corpora have their
# recipe with baselines, then folds. The corpora share the GPU, as small models leave most of it idle. All stop after so many seconds,
# and go on where they stopped when this is called again. What there is by then lies in OUT/results_small.tar.gz.
set -euo pipefail
emodb=          # folder of EMO-DB
ravdess=        # folder of RAVDESS
nemo=           # folder of nEMO
seconds=540     # time limit
seeds="1 2 3"   # seeds of the trainings
out=exp/results_small  # folder of logs and results
root=$(CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
. "$root/utils/parse_options.sh"
. "$root/utils/stage.sh"
. "$root/local/path.sh"
[ -n "$emodb$ravdess$nemo" ] || die "no corpus is given; name at least one folder, as in --emodb DIR"
mkdir -p "$out"
out=$(cd "$out" && pwd)
: > "$out/status.tsv"
end=$((SECONDS + seconds))

# step NAME COMMAND...: run until the time is over; the output goes to OUT/NAME.log
step() {
    local name=$1 begin=$SECONDS status=0
    [ "$SECONDS" -lt "$end" ] || return 1
    timeout $((end - SECONDS)) "${@:2}" >> "$out/$name.log" 2>&1 || status=$?
    printf '%s\t%s\t%s\n' "$name" "$status" $((SECONDS - begin)) | tee -a "$out/status.tsv"
    return "$status"
}

# ask_emodb OPTION...: the claims, one more seed each time
ask_emodb() {
    local seed so_far=''
    cd "$root/egs/emodb"
    for seed in $seeds; do
        so_far+=${so_far:+ }$seed
        step "emodb-$seed" "$root/local/claims.sh" -- --db-root "$emodb" --size small --seeds "$so_far" "$@" || return
    done
    step emodb-changed "$root/local/claims.sh" --kinds c2ser -- --db-root "$emodb" --size small --seeds "$seeds" \
        --perturb "noise20 gain-6 speed0.9" --wordings 3 "$@"
}

# ask_other CORPUS DIR OPTION...: the recipe with what one would do instead of C²SER, then all folds
ask_other() {
    local corpus=$1 options=(--db-root "$2" --size small --cot false --emotion2vec none "${@:3}")
    cd "$root/egs/$corpus"
    step "$corpus" ./run.sh "${options[@]}" --baselines "cascade classifier" &&
        step "$corpus-folds" "$root/local/cross_validate.sh" "${options[@]}" --name direct --seeds "$seeds"
}

jobs=()
if [ -n "$emodb" ]; then ask_emodb "$@" & jobs+=($!); fi
if [ -n "$ravdess" ]; then ask_other ravdess "$ravdess" "$@" & jobs+=($!); fi
if [ -n "$nemo" ]; then ask_other nemo "$nemo" "$@" & jobs+=($!); fi
failed=0
for job in "${jobs[@]}"; do wait "$job" || failed=1; done
cd "$root"
find egs -path '*/exp/*' \( -name '*.md' -o -name '*.log' -o -name 'scores*.json' -o -name utt2emo -o -name utt2prob \) -print0 |
    tar --null -czf "$out.tar.gz" -T - -C "$out" --exclude=results_small.tar.gz .
mv "$out.tar.gz" "$out/results_small.tar.gz"
log "$out/results_small.tar.gz: what there is after $SECONDS seconds"
exit "$failed"
