#!/usr/bin/env bash
# One model of all corpora that anyone can get, tested on speakers and on corpora that it has never heard.
# Say where the corpora are, one line for each in local/site.sh (root_emodb=/corpora/emodb), or put them into one folder
# under the names of their recipes and give that with --db-root. Corpora that are absent are left out.
#     cd egs/free && ./run.sh [--db-root DIR] [--stage N] [--stop-stage N] [options]
set -euo pipefail
db_root=            # folder of corpora, in folders that are named as their recipes
train_corpora="cremad emodb emovdb nemo tess" # corpora to train on, by the sets of their recipes, and to test on
unheard_corpora="emovo mesd ravdess" # corpora to test on as wholes
augment=            # changed copies of the training set to train on, too, such as "speed0.9 speed1.1 noise20"
cot=true            # true|false: see local/c2ser.sh
tag=                # see local/c2ser.sh
baselines=          # see local/c2ser.sh
root=$(CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
. "$root/local/cmd.sh"
. "$root/local/options.sh"
. "$root/utils/parse_options.sh"
[ $# = 0 ] || { printf '%s: %s: not an option; see --help\n' "${0##*/}" "$1" >&2; exit 2; }
. "$root/utils/stage.sh"
. "$root/local/path.sh"
. "$root/local/functions.sh"
cd "$root/egs/free"
read -ra train_list <<< "$train_corpora"
read -ra unheard_list <<< "$unheard_corpora"
read -ra copies <<< "$augment"

if stage 0 "data: prepare every corpus that is there, and join them; the other stages are those of local/c2ser.sh"; then
    mkdir -p data
    for corpus in "${train_list[@]}" "${unheard_list[@]}"; do
        site_root=$(site_name "$corpus")
        if [ -n "${!site_root-}" ]; then echo "$corpus ${!site_root}"; fi
    done | sort -u > data/roots
    # what finds corpora and runs their recipes is beside the paper's recipe
    PYTHONPATH=$root/egs/c2ser/local:$PYTHONPATH python local/data_prep.py --out data --roots data/roots \
        ${db_root:+--db-root "$db_root"} --nj "$nj" \
        --train "$(listed "${train_list[@]}")" --unheard "$(listed "${unheard_list[@]}")"
    [ ${#copies[@]} = 0 ] || augment_set data/train
fi
[ "$stop_stage" -ge 1 ] || exit 0

test_sets=$(printf '%s\n' data/*_test/wav.scp | cut -d / -f 2 | tr '\n' ' ')
exec "$root/local/c2ser.sh" --augment "$augment" --cot "$cot" --tag "$tag" --baselines "$baselines" "${shared_options[@]}" \
    --stage $((stage > 1 ? stage : 1)) --test-sets "$test_sets"
