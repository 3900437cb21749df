#!/usr/bin/env bash
# Train the small model on EMO-DB, keep it as tools/models/c2ser-small, and let it predict a file. `make demo` calls this.
#     [DB=/path/to/emodb] [SIZE=small] tools/demo.sh [OPTION of egs/emodb/run.sh]...
# Without DB the corpus is the one of local/site.sh, or it is downloaded. A run that was stopped goes on when it is called
# again.
set -euo pipefail
root=$(CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$root/utils/stage.sh"
. "$root/local/path.sh"
. "$root/local/cmd.sh"
exp=exp/demo
model=$root/tools/models/c2ser-small

corpus=(--download true)
if [ -n "${DB-}" ]; then
    corpus=(--db-root "$(realpath -m "$DB")")
elif [ -n "${root_emodb-}" ]; then
    corpus=()
fi
gpus=$(python -c 'import torch; print(min(1, torch.cuda.device_count()))')
cd "$root/egs/emodb"

# the logs of the trainings, as they grow; --pid ends this even where the trap cannot
exec 3> >(exec tail --pid=$$ -q -n 0 -F "$exp/implicit/train.log" >&2 2> /dev/null)
follower=$!
trap 'kill "$follower" 2> /dev/null || true' EXIT
# Emotion2Vec-S and explicit chains of thought cost more time and, with so few utterances, accuracy (docs/results.md)
./run.sh --size "${SIZE:-small}" --ngpu "$gpus" --nj "$(nproc)" --exp "$exp" --emotion2vec none --cot false "${corpus[@]}" "$@" || {
    status=$?
    if [ "${corpus[0]-}" = --download ] && [ ! -s data/train/wav.scp ]; then
        log "where EMO-DB cannot be downloaded, give its folder: make demo DB=/path/to/emodb"
    fi
    exit "$status"
}

rm -rf "$model"
python -m c2ser export-model --model "$exp/implicit" --out "$model"
read -r utterance file < data/test/wav.scp
log "$file, whose actor meant $(sed -n "s/^$utterance //p" data/test/utt2emo):"
python -m c2ser predict "$file"
log "this model is now what 'c2ser predict' uses without --model"
