#!/usr/bin/env bash
# From a corpus to scored C²SER models. Call it through a recipe:
#     cd egs/<corpus> && ./run.sh [--stage N] [--stop-stage N] [options]
# A run that was killed goes on where it stopped when it is called again with the same options and --stage.
set -euo pipefail
stage=0             # first stage
stop_stage=9        # last stage
db_root=            # folder of the corpus
train_set=train     # data directory to learn from
valid_set=valid     # data directory to choose the best weights on
test_sets="test"    # data directories to score on, separated by blanks
labels=seven        # seven|raw: the seven emotions, or the corpus' own classes (for the probe alone)
folds=published     # published|speaker|session|none: folds in utt2fold; each speaker or session left out in turn
download=false      # true|false: fetch the corpus into db_root (default: db) first, where its licence allows it
size=full           # full|tiny: the paper's sizes, or small random models for a laptop
exp=exp             # folder of everything that is trained or scored
emotion2vec=        # a ready Emotion2Vec-S folder; stage 4 is then skipped
nj=8                # parallel jobs on CPUs
decode_nj=1         # parallel jobs that decode
ngpu=1              # graphics cards for training; 0 for none
max_rejected=10     # stop if more percent of the utterances of a set cannot be processed
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$root/local/cmd.sh"
. "$root/utils/parse_options.sh"
[ $# = 0 ] || { printf '%s: %s: not an option; see --help\n' "${0##*/}" "$1" >&2; exit 2; }
. "$root/utils/stage.sh"
. "$root/local/path.sh"

read -ra tests <<< "$test_sets"
sets=("$train_set" "$valid_set" "${tests[@]}")
read -ra gpu_launcher <<< "$gpu_cmd"

# conf NAME: the recipe's own configuration, or the shared one of this size, or of all sizes.
conf() {
    local path
    for path in "conf/$1.yaml" "$root/local/conf/$size/$1.yaml" "$root/local/conf/$1.yaml"; do
        if [ -f "$path" ]; then echo "$path" && return; fi
    done
    die "$1.yaml is missing; put it into $root/local/conf/$size"
}

# map SET TABLE COMMAND...: fill a table on CPUs.
map() {
    map_data.sh --nj "$nj" --cmd "$cpu_cmd" --max-rejected "$max_rejected" "data/$1" "$2" python -m "${@:3}"
}

# fit FOLDER NAME OPTION...: train with an entry point, on one graphics card, several, or none.
fit() {
    local folder=$1 command=(python -m "c2ser.bin.$2")
    [ "$ngpu" -le 1 ] || command=(accelerate launch --multi_gpu --num_processes "$ngpu" -m "c2ser.bin.$2")
    log "its log is $folder/train.log"
    "${gpu_launcher[@]}" --gpu "$ngpu" "$folder/train.log" "${command[@]}" --out "$folder" "${@:3}"
}

# train_c2ser STAGE OPTION...: train one of the two models.
train_c2ser() {
    fit "$exp/$1" train_c2ser --config "$(conf "$1")" --stage "$1" \
        --train "data/$train_set" --valid "data/$valid_set" "${@:2}"
}

if stage 0 "data: describe the corpus"; then
    site_root=root_$(basename "$PWD" | tr -c 'A-Za-z0-9\n' _)
    db_root=${db_root:-${!site_root-}}
    [ "$download" = false ] || db_root=${db_root:-db}
    [ -n "$db_root" ] || die "the corpus is needed; give its folder with --db-root, or set $site_root in local/site.sh"
    python local/data_prep.py --db-root "$db_root" --out data --labels "$labels" --folds "$folds" \
        --download "$download" --nj "$nj"
    for name in "${sets[@]}"; do validate_data_dir.sh "data/$name"; done
fi

if stage 1 "attributes: measure pitch, loudness and speaking rate"; then
    for name in "${sets[@]}"; do
        need "data/$name/wav.scp" 0
        map "$name" "data/$name/utt2attr" c2ser.bin.extract_attributes --config "$(conf attributes)"
    done
fi

if stage 2 "levels: low, medium or high, by the training set's statistics"; then
    for name in "${sets[@]}"; do need "data/$name/utt2attr" 1; done
    py compute_stats --attributes "data/$train_set/utt2attr" --out "$exp/attr_stats.json"
    for name in "${sets[@]}"; do
        map "$name" "data/$name/utt2level" c2ser.bin.assign_levels --stats "$exp/attr_stats.json"
    done
fi

if stage 3 "cot: write explicit and implicit chains of thought"; then
    for name in "$train_set" "$valid_set"; do
        need "data/$name/utt2level" 2
        for style in explicit implicit; do
            map "$name" "data/$name/cot_$style" c2ser.bin.generate_cot --config "$(conf cot)" --style "$style"
        done
    done
fi

if stage 4 "emotion2vec: train Emotion2Vec-S"; then
    if [ -n "$emotion2vec" ]; then
        log "skipped: $emotion2vec is used"
    else
        for name in "$train_set" "$valid_set"; do need "data/$name/wav.scp" 0; done
        fit "$exp/emotion2vec_s" train_emotion2vec --config "$(conf emotion2vec)" \
            --train "data/$train_set" --valid "data/$valid_set"
    fi
fi
acoustic=${emotion2vec:-$exp/emotion2vec_s}

if stage 5 "probe: score its embeddings with a small classifier"; then
    need "$acoustic/config.json" 4
    for name in "${sets[@]}"; do
        py extract_embeddings --model "$acoustic" --data "data/$name" --out "$exp/probe/$name.scp"
    done
    listed=$(printf '"data/%s",' "${tests[@]}")
    py train_probe --config "$(conf probe)" --embeddings "$exp/probe" --out "$exp/probe" \
        --train "data/$train_set" --valid "data/$valid_set" --tests "[${listed%,}]"
fi

if stage 6 "explicit: train C²SER on explicit chains of thought"; then
    need "$acoustic/config.json" 4
    for name in "$train_set" "$valid_set"; do need "data/$name/cot_explicit" 3; done
    parts=(--model.emotion2vec "$acoustic")
    if [ "$size" = tiny ]; then
        py make_tiny_models --config "$(conf tiny_models)" --data "data/$train_set" --out "$exp/tiny"
        parts+=(--model.whisper "$exp/tiny/whisper" --model.llm "$exp/tiny/llm")
    fi
    train_c2ser explicit "${parts[@]}"
fi

if stage 7 "implicit: train on, with ever fewer explicit chains of thought"; then
    need "$exp/explicit/config.json" 6
    for name in "$train_set" "$valid_set"; do need "data/$name/cot_implicit" 3; done
    train_c2ser implicit --init "$exp/explicit"
fi

if stage 8 "decode: let both models answer"; then
    need "$exp/explicit/config.json" 6
    need "$exp/implicit/config.json" 7
    for model in explicit implicit; do
        for name in "${tests[@]}"; do
            map_data.sh --nj "$decode_nj" --cmd "$gpu_cmd --gpu $((ngpu > 0))" --max-rejected "$max_rejected" \
                "data/$name" "$exp/$model/decode_$name/answer" \
                python -m c2ser.bin.decode --config "$(conf decode)" --model "$exp/$model"
        done
    done
fi

if stage 9 "score: read the emotions in the answers, make tables and pictures"; then
    for model in explicit implicit; do
        for name in "${tests[@]}"; do
            folder=$exp/$model/decode_$name
            need "$folder/answer" 8
            py extract_labels --answers "$folder/answer" --out "$folder/utt2emo"
            named=()
            if [ "$model" = explicit ]; then
                named=(--answers "$folder/answer" --levels "data/$name/utt2level" --text "data/$name/text")
            fi
            py score --reference "data/$name/utt2emo" --labels "$folder/utt2emo" --times "$folder/utt2ms" \
                --out "$folder" "${named[@]}"
        done
    done
    py show_results --exp "$exp" --out "$exp/RESULTS.md" --title "$(basename "$PWD")"
fi

finish
