#!/usr/bin/env bash
# The paper: all corpora joined, Emotion2Vec-S, C²SER, nine test sets, ablations, fine-tuning on MELD, all its tables.
# Say where the corpora are, one line for each in local/site.sh (root_iemocap=/corpora/IEMOCAP), or put them into one
# folder under the names of their recipes and give that with --db-root. What is absent makes the tables smaller.
#     cd egs/c2ser && ./run.sh [--db-root DIR] [--stage N] [--stop-stage N] [options]
# A run that was stopped goes on where it was when it is called again; what is done is not done again.
set -euo pipefail
stage=0             # first stage
stop_stage=9        # last stage
db_root=            # folder of corpora, in folders that are named as their recipes
train_corpora="iemocap meld msp_podcast biic_podcast esd mer2024" # corpora to learn from
test_corpora="m3ed meld esd casia emovdb asvp_esd emovo mesd emo_emilia" # corpora to test on
compare_audio=false # true|false: look for recordings that training and test sets share, too; it reads most of them
size=full           # full|tiny: the paper's sizes, or small random models for a laptop
exp=exp             # folder of everything that is trained or scored
emotion2vec=        # a ready Emotion2Vec-S folder; stage 4 then trains none
emotion2vec_f=true  # true|false: train Emotion2Vec-F too, without the category loss, for Table V
encoder_options=    # further options for training both, separated by blanks; write --encoder-options="--init FILE"
probe_models=       # further encoders for Table V; with --size full WavLM and data2vec if empty
ablations=true      # true|false: train the three models of Table VIII
finetuning=true     # true|false: fine-tune on MELD, for Table IX
acoustic_arks=      # as in the shared recipe, which has the rest of these options: egs/TEMPLATE/run.sh --help
nj=8                # parallel jobs on CPUs
decode_nj=1         # parallel jobs that decode
ngpu=1              # GPUs for training; 0 for none
accelerate_config=ddp  # how several cards share C²SER's training
cot_nj=             # parallel jobs that write chains of thought; as --nj if empty
cot_gpu=0           # GPUs of each of them
judge=              # local|server|batch: a language model reads the answers too
perturb=            # changes of the test sets that stages 8 and 9 try too
wordings=0          # paraphrases of the instruction that stages 8 and 9 try too
max_rejected=10     # stop if more percent of the utterances of a set cannot be processed
root=$(CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
. "$root/local/cmd.sh"
. "$root/utils/parse_options.sh"
[ $# = 0 ] || { printf '%s: %s: not an option; see --help\n' "${0##*/}" "$1" >&2; exit 2; }
. "$root/utils/stage.sh"
. "$root/utils/tables.sh"
. "$root/local/path.sh"
. "$root/local/functions.sh"
cd "$root/egs/c2ser"

read -ra learnt <<< "$train_corpora"
read -ra tested <<< "$test_corpora"
acoustic=${emotion2vec:-$exp/emotion2vec_s}
taught=(data/{train,valid}/{wav.scp,cot_explicit,cot_implicit})

# those KIND: the data directories of the test corpora, _test or _raw, that stage 0 has made.
those() {
    local corpus
    for corpus in "${tested[@]}"; do
        if [ -s "data/${corpus}_$1/wav.scp" ]; then echo "${corpus}_$1"; fi
    done
}

# recipe STAGE OPTION...: a stage of the shared recipe.
recipe() {
    "$root/local/c2ser.sh" --stage "$1" --stop-stage "$1" --exp "$exp" --size "$size" --nj "$nj" --ngpu "$ngpu" \
        --decode-nj "$decode_nj" --accelerate-config "$accelerate_config" --cot-nj "$cot_nj" --cot-gpu "$cot_gpu" \
        --acoustic-arks "$acoustic_arks" ${judge:+--judge "$judge"} --perturb "$perturb" --wordings "$wordings" \
        --max-rejected "$max_rejected" --emotion2vec "$emotion2vec" "${@:2}"
}

# alone STAGE SET OPTION...: a stage of the shared recipe on one data directory.
alone() {
    local test_sets=""
    if [[ $2 = *_test ]]; then test_sets=$2 && set -- "$1" "" "${@:3}"; fi
    recipe "$1" --train-set "$2" --valid-set "" --test-sets "$test_sets" "${@:3}"
}

# encoder NAME OPTION...: train an encoder on all corpora.
encoder() {
    once "$exp/done/$1" data/{train,valid}/{wav.scp,utt2emo} "$(conf emotion2vec)" "$encoder_options" -- \
        recipe 4 --emotion2vec "" --encoder "$1" --train-options="$encoder_options ${*:2}"
}

# weights MODEL...: what tells whether models have been trained anew; calibration and answers come later.
weights() {
    local model
    for model in "$@"; do
        [ ! -d "$exp/$model" ] || find "$exp/$model" -maxdepth 1 -name '*.safetensors' -printf '%f %s %T@\n' | sort
    done
}

# others: the encoders that are compared with Emotion2Vec-S.
others() {
    if [ -s "$exp/emotion2vec_f/config.json" ]; then printf '%s ' "$exp/emotion2vec_f"; fi
    if [ "$size$probe_models" = full ]; then
        echo microsoft/wavlm-base facebook/data2vec-audio-base
    else
        echo "$probe_models"
    fi
}

# ablated: the models of Table VIII, if its test set is there.
ablated() {
    if [ "$ablations" = true ] && [ -s data/emo_emilia_test/wav.scp ]; then
        printf '%s\n' without_whisper without_emotion2vec without_cot
    fi
}

# left_out: say which tables cannot be made of the corpora that are there.
left_out() {
    if [ "$ablations" = true ] && [ -z "$(ablated)" ]; then log "no ablations (Table VIII): emo_emilia is absent"; fi
    if [ "$finetuning" = true ] && ! tuned; then log "no fine-tuning (Table IX): meld is absent or left out"; fi
}

# tuned: whether there is a MELD to fine-tune on (Table IX).
tuned() {
    [ "$finetuning" = true ] && [[ " $train_corpora " = *" meld "* ]] &&
        [ -s data/meld/train/wav.scp ] && [ -s data/meld_test/wav.scp ]
}

# on_meld STAGE: a stage of the shared recipe that fine-tunes the implicit model on MELD, or tries what came of it.
on_meld() {
    recipe "$1" --exp "$exp/meld" --init "$exp/implicit" \
        --train-set meld_train --valid-set meld_valid --test-sets meld_test
}

if stage 0 "data: prepare every corpus that is there, and join them"; then
    roots=()
    for corpus in "${learnt[@]}" "${tested[@]}"; do
        site_root=$(site_name "$corpus")
        [ -z "${!site_root-}" ] || roots+=("$corpus ${!site_root}")
    done
    mkdir -p data
    printf '%s\n' "${roots[@]}" | sort -u > data/roots
    python local/data_prep.py --out data --roots data/roots ${db_root:+--db-root "$db_root"} \
        --train "$(listed "${learnt[@]}")" --test "$(listed "${tested[@]}")" --nj "$nj"
    for name in train valid $(those test); do
        if [ -s "data/$name/wav.scp" ]; then validate_data_dir.sh "data/$name"; fi
    done
    for name in $(those test); do
        if [ -s data/train/wav.scp ]; then
            py check_overlap --data "data/$name" --train '["data/train", "data/valid"]' \
                --out "data/$name/overlap.json" --audio "$compare_audio"
        fi
    done
fi

if stage 1 "attributes: measure pitch, loudness and speaking rate"; then
    for name in train valid $(those test); do
        tables=("data/$name/wav.scp" "data/$name/text" "data/$name/utt2lang" "data/$name/utt2channel")
        once "$exp/done/attributes_$name" "${tables[@]}" "$(conf attributes)" -- alone 1 "$name"
    done
fi

if stage 2 "levels: low, medium or high, by the statistics of all training corpora"; then
    recipe 2 --test-sets "$(those test | tr '\n' ' ')"
fi

if stage 3 "cot: write explicit and implicit chains of thought"; then
    for name in train valid; do
        tables=("data/$name/text" "data/$name/utt2emo" "data/$name/utt2level")
        once "$exp/done/cot_$name" "${tables[@]}" "$(conf cot)" -- alone 3 "$name"
    done
fi

if stage 4 "emotion2vec: train Emotion2Vec-S and -F"; then
    if [ -n "$emotion2vec" ]; then log "skipped: $emotion2vec is used"; else encoder emotion2vec_s; fi
    if [ "$emotion2vec_f" = true ]; then encoder emotion2vec_f --losses.category 0; fi
fi

if stage 5 "probe: cross-validate all encoders on each test corpus, as EmoBox does"; then
    need "$acoustic/config.json" 4
    read -ra compared <<< "$(others)"
    for name in $(those raw); do
        tables=("data/$name/wav.scp" "data/$name/utt2emo" "data/$name/utt2fold")
        once "$exp/done/probe_$name" "${tables[@]}" "$acoustic" "${compared[@]}" "$(conf probe)" -- \
            alone 5 "$name" --exp "$exp/probe_${name%_raw}" --emotion2vec "$acoustic" --probe-models "${compared[*]}"
    done
fi

if stage 6 "explicit: train C²SER on explicit chains of thought, and without one of its ears"; then
    left_out
    once "$exp/done/explicit" "${taught[@]}" "$acoustic" "$(conf explicit)" -- recipe 6
    for name in $(ablated); do
        if [ "$name" = without_cot ]; then continue; fi
        once "$exp/done/explicit_$name" "${taught[@]}" "$acoustic" "$(conf explicit)" -- \
            recipe 6 --exp "$exp/$name" --emotion2vec "$acoustic" --train-options="--model.${name#without_} null"
    done
fi

if stage 7 "implicit: train on, with ever fewer explicit chains of thought; fine-tune on MELD"; then
    once "$exp/done/implicit" "${taught[@]}" "$(weights explicit)" "$(conf implicit)" -- recipe 7
    for name in $(ablated); do
        if [ "$name" = without_cot ]; then
            once "$exp/done/implicit_$name" "${taught[@]}" "$acoustic" "$(conf direct)" -- \
                recipe 7 --exp "$exp/$name" --emotion2vec "$acoustic" --cot false
        else
            once "$exp/done/implicit_$name" "${taught[@]}" "$(weights "$name/explicit")" "$(conf implicit)" -- \
                recipe 7 --exp "$exp/$name"
        fi
    done
    if tuned; then
        for part in train valid; do
            list=data/meld_$part.ids
            keys "data/$part/wav.scp" | grep '^meld-' > "$list" || die "data/$part has nothing of MELD; run stage 0 first"
            subset_data_dir.sh --utt-list "$list" "data/$part" "data/meld_$part"
        done
        once "$exp/done/meld" data/meld_{train,valid}/cot_implicit "$(weights implicit)" "$(conf finetune)" -- on_meld 7
    fi
fi

# What stages 8 and 9 look at, beside the model and the test set.
settings=("$(conf decode)" "$perturb" "$wordings")

if stage 8 "decode: let the models answer"; then
    for name in $(those test); do
        once "$exp/done/answers_$name" "data/$name/wav.scp" "$(weights explicit implicit)" "${settings[@]}" -- \
            recipe 8 --test-sets "$name"
    done
    for name in $(ablated); do
        once "$exp/done/answers_$name" data/emo_emilia_test/wav.scp "$(weights "$name/implicit")" "${settings[@]}" -- \
            recipe 8 --exp "$exp/$name" --models implicit --test-sets emo_emilia_test
    done
    if tuned; then
        once "$exp/done/answers_meld" data/meld_test/wav.scp "$(weights meld/finetune)" "${settings[@]}" -- on_meld 8
    fi
fi

if stage 9 "score: read the emotions in the answers, and write the paper's tables and figures"; then
    for name in $(those test); do
        once "$exp/done/scores_$name" "data/$name/utt2emo" "$exp"/{explicit,implicit}/"decode_$name/answer" "$judge" \
            "${settings[@]}" -- recipe 9 --test-sets "$name"
    done
    for name in $(ablated); do
        once "$exp/done/scores_$name" data/emo_emilia_test/utt2emo "$exp/$name/implicit/decode_emo_emilia_test/answer" \
            "$judge" "${settings[@]}" -- recipe 9 --exp "$exp/$name" --models implicit --test-sets emo_emilia_test
    done
    if tuned; then
        once "$exp/done/scores_meld" data/meld_test/utt2emo "$exp"/meld/finetune/epoch_*/decode_meld_test/answer \
            "$judge" "${settings[@]}" -- on_meld 9
    fi
    py show_results --exp "$exp" --out "$exp/all_results.md" --title "c2ser, all sets and models" > /dev/null
    python local/report_paper.py --data data --exp "$exp" --paper conf/paper.yaml --out "$exp/RESULTS.md"
fi

finish
