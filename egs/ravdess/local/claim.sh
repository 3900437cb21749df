#!/usr/bin/env bash
# Does the category loss help? Train emotion2vec's objective alone on nEMO; continue without the category loss (F) and
# with it (S), for as long; probe all three, and untrained weights, on RAVDESS: other speakers in another language.
# Stage 0 of both recipes first.
#     cd egs/ravdess && local/claim.sh [options]
# A run that was killed goes on where it stopped when it is called again.
set -euo pipefail
nemo=../nemo/data      # data directories of nEMO
exp=exp/claim          # where models and figures go
seeds="2 3 4"          # each gives four encoders
steps=500              # steps of the objective alone
more=1200              # steps of each continuation
category=100           # weight of the category loss in S
config=conf/claim.yaml # sizes and training of the encoder
epochs=20              # of the probe
rate=1e-3              # the probe's learning rate
device=auto            # what embeddings are computed and probed on: cpu, cuda or auto
root=$(CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
cd "$root/egs/ravdess"
. "$root/utils/parse_options.sh"
. "$root/utils/stage.sh"
. "$root/local/path.sh"
need "$nemo/train/wav.scp" 0
need data/train/utt2fold 0
read -ra seed_list <<< "$seeds"

# train_encoder NAME SEED STEPS CATEGORY OPTION...: one encoder.
train_encoder() {
    run_once "$exp/done/$1_$2" "$config" "$nemo"/{train,valid}/{wav.scp,utt2emo} "${@:2}" -- \
        py train_emotion2vec --config "$config" --train "$nemo/train" --valid "$nemo/valid" --out "$exp/$1_$2" \
        --training.seed "$2" --training.steps "$3" --losses.category "$4" "${@:5}"
}

# embed_sets FOLDER ENCODER: embeddings of RAVDESS.
embed_sets() {
    local name
    for name in train valid test; do
        py extract_embeddings --model "$2" --data "data/$name" --out "$1/$name.scp" --device "$device"
    done
}

# probe_encoder NAME SEED: EmoBox's classifier on the embeddings, on RAVDESS' six folds.
probe_encoder() {
    local encoder=$exp/$1_$2 weights
    weights=$(find "$encoder" -maxdepth 1 -name '*.safetensors' -printf '%f %s %T@\n')
    run_once "$exp/done/embed_$1_$2" "$weights" data/{train,valid,test}/wav.scp -- embed_sets "$encoder/probe" "$encoder"
    run_once "$exp/done/probe_$1_$2" "$weights" data/{train,valid,test}/utt2fold "$epochs" "$rate" -- \
        py train_probe --config "$root/local/conf/full/probe.yaml" --embeddings "$encoder/probe" --out "$encoder/probe" \
        --folds '["data/train","data/valid","data/test"]' --device "$device" \
        --probe.epochs "$epochs" --probe.lr "$rate" --probe.seed 1
}

systems=()
for seed in "${seed_list[@]}"; do
    train_encoder untrained "$seed" 1 0 --filter_bank true --optim.lr 0
    train_encoder alone "$seed" "$steps" 0 --filter_bank true
    train_encoder f "$seed" "$more" 0 --init "$exp/alone_$seed"
    train_encoder s "$seed" "$more" "$category" --init "$exp/alone_$seed"
done
for system in untrained alone f s; do
    runs=()
    for seed in "${seed_list[@]}"; do
        probe_encoder "$system" "$seed"
        runs+=("\"$exp/${system}_$seed/probe\"")
    done
    systems+=("\"$system\": [$(IFS=,; echo "${runs[*]}")]")
done
for baseline in f untrained; do
    py compare_systems --data '["data/train","data/valid","data/test"]' --systems "{$(IFS=,; echo "${systems[*]}")}" \
        --baseline "$baseline" --out "$exp/against_$baseline" --title "RAVDESS, six folds"
done
