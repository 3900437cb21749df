#!/usr/bin/env bash
# The paper: all corpora joined, Emotion2Vec-S, C²SER, nine test sets, ablations, fine-tuning on MELD, all its tables.
# Say where the corpora are, one line for each in local/site.sh (root_iemocap=/corpora/IEMOCAP), or put them into one
# folder under the names of their recipes and give that with --db-root. What is absent makes the tables smaller.
#     cd egs/c2ser && ./run.sh [--db-root DIR] [--stage N] [--stop-stage N] [options]
# A run that was stopped goes on where it was when it is called again; what is done is not done again.
set -euo pipefail
db_root=            # folder of corpora, in folders that are named as their recipes
train_corpora="iemocap meld msp_podcast biic_podcast esd mer2024" # corpora to train on
test_corpora="m3ed meld esd casia emovdb asvp_esd emovo mesd emo_emilia" # corpora to test on
compare_audio=false # true|false: look for recordings that training and test sets share, too; it reads most of them
emotion2vec_f=true  # true|false: train Emotion2Vec-F too, without the category loss, for Table V
probe_models=       # further encoders for Table V; with --size full WavLM and data2vec if empty
ablations=true      # true|false: train the three models of Table VIII
finetuning=true     # true|false: fine-tune on MELD, for Table IX
baselines=          # systems of others for Tables VI and VII, such as "qwen2_audio sensevoice cascade"; see docs/baselines.md
root=$(CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
. "$root/local/cmd.sh"
. "$root/local/options.sh" # options that the stages of the shared recipe have, too; they get those that are given
. "$root/utils/parse_options.sh"
[ $# = 0 ] || { printf '%s: %s: not an option; see --help\n' "${0##*/}" "$1" >&2; exit 2; }
. "$root/utils/stage.sh"
. "$root/utils/tables.sh"
. "$root/local/path.sh"
. "$root/local/functions.sh"
cd "$root/egs/c2ser"

check_numbers --skip-stages "${skip_stages:-0}"
[[ " $baselines" != *" classifier"* ]] || die "--baselines: classifiers are trained by the recipes of single corpora alone; leave them out"
[ "$emotion2vec" != none ] || die "--emotion2vec: the tables of the paper need one; give its folder or nothing"
choose_size
shared_options+=(--size "$size" --ngpu "$ngpu")
read -ra train_list <<< "$train_corpora"
read -ra test_list <<< "$test_corpora"
acoustic=${emotion2vec:-$exp/emotion2vec_s}
train_valid_tables=(data/{train,valid}/{wav.scp,cot_explicit,cot_implicit})

# test_dirs KIND: the data directories of the test corpora, _test or _raw, that stage 0 has made.
test_dirs() {
    local corpus
    for corpus in "${test_list[@]}"; do
        if [ -s "data/${corpus}_$1/wav.scp" ]; then echo "${corpus}_$1"; fi
    done
}

# run_stage STAGE OPTION...: a stage of the shared recipe.
run_stage() {
    "$root/local/c2ser.sh" "${shared_options[@]}" --stage "$1" --stop-stage "$1" --skip-stages "" --exp "$exp" \
        --emotion2vec "$emotion2vec" "${@:2}"
}

# run_stage_on STAGE SET OPTION...: a stage of the shared recipe on one data directory.
run_stage_on() {
    local test_sets=""
    if [[ $2 = *_test ]]; then test_sets=$2 && set -- "$1" "" "${@:3}"; fi
    run_stage "$1" --train-set "$2" --valid-set "" --test-sets "$test_sets" "${@:3}"
}

# train_encoder NAME OPTION...: train an encoder on all corpora.
train_encoder() {
    read_configs emotion2vec "$encoder_config"
    run_once "$exp/done/$1" data/{train,valid}/{wav.scp,utt2emo} "${configs[@]}" "$encoder_options" -- \
        run_stage 4 --emotion2vec "" --encoder "$1" --encoder-options="$encoder_options ${*:2}"
}

# baseline_encoders: the encoders that are compared with Emotion2Vec-S.
baseline_encoders() {
    if [ -s "$exp/emotion2vec_f/config.json" ]; then printf '%s ' "$exp/emotion2vec_f"; fi
    if [ "$size$probe_models" = full ]; then
        echo microsoft/wavlm-base facebook/data2vec-audio-base
    else
        echo "$probe_models"
    fi
}

# ablation_names: the models of Table VIII, if its test set is there.
ablation_names() {
    if [ "$ablations" = true ] && [ -s data/emo_emilia_test/wav.scp ]; then
        printf '%s\n' without_whisper without_emotion2vec without_cot
    fi
}

# answer_baselines SET: let the systems of --baselines answer for a test set. One that fails does not stop the others.
answer_baselines() {
    local name mark inputs
    for name in "${compared[@]}"; do
        read_configs "baselines/$name"
        mark=$exp/done/answers_$1_$name inputs=("data/$1/wav.scp" "${configs[@]}" "${settings[@]}")
        if state_of "${inputs[@]}" | mark_holds "$mark"; then continue; fi
        if run_stage 8 --models none --baselines "$name" --test-sets "$1"; then
            state_of "${inputs[@]}" | write_mark "$mark"
        else
            failed+=" $name on $1,"
        fi
    done
}

# log_absent: say which tables cannot be made of the corpora that are there.
log_absent() {
    if [ "$ablations" = true ] && [ -z "$(ablation_names)" ]; then
        log "no ablations (Table VIII): emo_emilia is absent"
    fi
    if [ "$finetuning" = true ] && ! has_finetuning_data; then
        log "no fine-tuning (Table IX): meld is absent or left out"
    fi
}

# has_finetuning_data: whether there is a MELD to fine-tune on (Table IX).
has_finetuning_data() {
    [ "$finetuning" = true ] && [[ " $train_corpora " = *" meld "* ]] &&
        [ -s data/meld/train/wav.scp ] && [ -s data/meld_test/wav.scp ]
}

# run_meld_stage STAGE: a stage of the shared recipe that fine-tunes the implicit model on MELD, or tries what came of it.
# The settings of the second stage are not its own; conf/finetune.yaml has those.
run_meld_stage() {
    run_stage "$1" --exp "$exp/meld" --init "$exp/implicit" --implicit-config "" --implicit-options "" \
        --train-set meld_train --valid-set meld_valid --test-sets meld_test
}

if stage 0 "data: prepare every corpus that is there, and join them"; then
    roots=()
    for corpus in "${train_list[@]}" "${test_list[@]}"; do
        site_root=$(site_name "$corpus")
        [ -z "${!site_root-}" ] || roots+=("$corpus ${!site_root}")
    done
    mkdir -p data
    { [ ${#roots[@]} = 0 ] || printf '%s\n' "${roots[@]}"; } | sort -u > data/roots
    python local/data_prep.py --out data --roots data/roots ${db_root:+--db-root "$db_root"} \
        --train "$(listed "${train_list[@]}")" --test "$(listed "${test_list[@]}")" --nj "$nj"
    for name in train valid $(test_dirs test); do
        if [ -s "data/$name/wav.scp" ]; then validate_data_dir.sh "data/$name"; fi
    done
    for name in $(test_dirs test); do
        if [ -s data/train/wav.scp ]; then
            py check_overlap --data "data/$name" --train '["data/train", "data/valid"]' \
                --out "data/$name/overlap.json" --audio "$compare_audio"
        fi
    done
fi

if stage 1 "attributes: measure pitch, loudness and speaking rate"; then
    read_configs attributes
    for name in train valid $(test_dirs test); do
        tables=("data/$name/wav.scp" "data/$name/text" "data/$name/utt2lang" "data/$name/utt2channel")
        run_once "$exp/done/attributes_$name" "${tables[@]}" "${configs[@]}" -- run_stage_on 1 "$name"
    done
fi

if stage 2 "levels: low, medium or high, by the statistics of all training corpora"; then
    run_stage 2 --test-sets "$(test_dirs test | tr '\n' ' ')"
fi

if stage 3 "cot: write explicit and implicit chains of thought"; then
    read_configs cot
    for name in train valid; do
        tables=("data/$name/text" "data/$name/utt2emo" "data/$name/utt2level")
        run_once "$exp/done/cot_$name" "${tables[@]}" "${configs[@]}" -- run_stage_on 3 "$name"
    done
fi

if stage 4 "emotion2vec: train Emotion2Vec-S and -F"; then
    if [ -n "$emotion2vec" ]; then log "skipped: $emotion2vec is used"; else train_encoder emotion2vec_s; fi
    if [ "$emotion2vec_f" = true ]; then train_encoder emotion2vec_f --losses.category 0; fi
fi

if stage 5 "probe: cross-validate all encoders on each test corpus, as EmoBox does"; then
    need "$acoustic/config.json" 4
    read_configs probe
    read -ra compared <<< "$(baseline_encoders)"
    for name in $(test_dirs raw); do
        tables=("data/$name/wav.scp" "data/$name/utt2emo" "data/$name/utt2fold")
        run_once "$exp/done/probe_$name" "${tables[@]}" "$acoustic" "${compared[@]}" "${configs[@]}" -- \
            run_stage_on 5 "$name" --exp "$exp/probe_${name%_raw}" --emotion2vec "$acoustic" --probe-models "${compared[*]}"
    done
fi

if stage 6 "explicit: train C²SER on explicit chains of thought, and without one of its encoders"; then
    log_absent
    read_configs c2ser model explicit "$explicit_config"
    inputs=("${train_valid_tables[@]}" "$acoustic" "${configs[@]}" "$explicit_options")
    run_once "$exp/done/explicit" "${inputs[@]}" -- run_stage 6
    for name in $(ablation_names); do
        if [ "$name" = without_cot ]; then continue; fi
        run_once "$exp/done/explicit_$name" "${inputs[@]}" -- run_stage 6 --exp "$exp/$name" --emotion2vec "$acoustic" \
            --explicit-options="$explicit_options --model.${name#without_} null"
    done
fi

if stage 7 "implicit: train the explicit models further, on ever more implicit chains; fine-tune on MELD"; then
    read_configs c2ser implicit "$implicit_config"
    inputs=("${train_valid_tables[@]}" "${configs[@]}" "$implicit_options")
    run_once "$exp/done/implicit" "${inputs[@]}" "$(weight_stamp "$exp/explicit")" -- run_stage 7
    for name in $(ablation_names); do
        if [ "$name" != without_cot ]; then
            run_once "$exp/done/implicit_$name" "${inputs[@]}" "$(weight_stamp "$exp/$name/explicit")" -- \
                run_stage 7 --exp "$exp/$name"
            continue
        fi
        # it has the length of both stages, by conf/direct.yaml, and not the settings of the second
        read_configs c2ser model direct
        run_once "$exp/done/implicit_$name" "${train_valid_tables[@]}" "$acoustic" "${configs[@]}" -- \
            run_stage 7 --exp "$exp/$name" --emotion2vec "$acoustic" --cot false --implicit-config "" --implicit-options ""
    done
    if has_finetuning_data; then
        for part in train valid; do
            list=data/meld_$part.ids
            keys "data/$part/wav.scp" | grep '^meld-' > "$list" || die "data/$part has nothing of MELD; run stage 0 first"
            subset_data_dir.sh --utt-list "$list" "data/$part" "data/meld_$part"
        done
        read_configs c2ser finetune
        run_once "$exp/done/meld" data/meld_{train,valid}/cot_implicit "$(weight_stamp "$exp/implicit")" "${configs[@]}" -- \
            run_meld_stage 7
    fi
fi

# What stages 8 and 9 depend on, beside the model and the test set.
read_configs decode
settings=("${configs[@]}" "$perturb" "$wordings")
read -ra compared <<< "$baselines"
failed=""

if stage 8 "decode: let the models answer"; then
    for name in $(test_dirs test); do
        run_once "$exp/done/answers_$name" "data/$name/wav.scp" "$(weight_stamp "$exp/explicit" "$exp/implicit")" \
            "${settings[@]}" -- run_stage 8 --test-sets "$name"
        answer_baselines "$name"
    done
    for name in $(ablation_names); do
        run_once "$exp/done/answers_$name" data/emo_emilia_test/wav.scp "$(weight_stamp "$exp/$name/implicit")" \
            "${settings[@]}" -- run_stage 8 --exp "$exp/$name" --models implicit --test-sets emo_emilia_test
    done
    if has_finetuning_data; then
        run_once "$exp/done/answers_meld" data/meld_test/wav.scp "$(weight_stamp "$exp/meld/finetune")" "${settings[@]}" -- \
            run_meld_stage 8
    fi
fi

if stage 9 "score: read the emotions in the answers, and write the paper's tables and figures"; then
    for name in $(test_dirs test); do
        answers=()
        for model in explicit implicit "${compared[@]}"; do answers+=("$exp/$model/decode_$name/answer"); done
        run_once "$exp/done/scores_$name" "data/$name/utt2emo" "${answers[@]}" "$judge" "${settings[@]}" -- \
            run_stage 9 --test-sets "$name" --baselines "$baselines"
    done
    for name in $(ablation_names); do
        run_once "$exp/done/scores_$name" data/emo_emilia_test/utt2emo "$exp/$name/implicit/decode_emo_emilia_test/answer" \
            "$judge" "${settings[@]}" -- run_stage 9 --exp "$exp/$name" --models implicit --test-sets emo_emilia_test
    done
    if has_finetuning_data; then
        run_once "$exp/done/scores_meld" data/meld_test/utt2emo "$exp"/meld/finetune/epoch_*/decode_meld_test/answer \
            "$judge" "${settings[@]}" -- run_meld_stage 9
    fi
    py show_results --exp "$exp" --out "$exp/all_results.md" --title "c2ser, all sets and models" > /dev/null
    py report "$exp" --data data --title "c2ser, all sets and models"
    python local/report_paper.py --data data --exp "$exp" --paper conf/paper.yaml --out "$exp/RESULTS.md"
fi

[ -z "$failed" ] || die "--baselines: no answers of${failed%,}; see above what to do, and run stages 8 and 9 again"
finish
