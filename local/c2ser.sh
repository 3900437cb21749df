#!/usr/bin/env bash
# From a corpus to scored C²SER models. Call it through a recipe:
#     cd egs/<corpus> && ./run.sh [--stage N] [--stop-stage N] [options]
# A run that was killed goes on where it stopped when it is called again with the same options and --stage. Settings of
# models and trainings are in local/conf; a file of the same name in the recipe's conf/ is layered over them.
set -euo pipefail
db_root=            # folder of the corpus
table=              # in place of db_root: a table of your own recordings, which stage 0 imports (c2ser import)
import_options=     # options of c2ser import for stage 0, such as --import-options="--columns.emotion mood"
train_set=train     # data directory to train on
augment=            # changed copies of it to train on, too, such as "speed0.9 speed1.1 noise20"; stage 0 makes them
valid_set=valid     # data directory to choose the best weights on
test_sets="test"    # data directories to score on, separated by blanks
labels=seven        # the seven emotions; or raw: the corpus' own classes; or a labels.json that names those to keep
folds=published     # published|speaker|session|none: folds in utt2fold; each speaker or session left out in turn
download=false      # true|false: fetch the corpus into db_root (default: db) first, where its licence allows it
encoder=emotion2vec_s  # name that the encoder of stage 4 has in exp
probe_models=       # further encoders for stage 5 to compare, folders, files, hub ids or NAME=one of these, with blanks between
probe_targets=      # what the probes of stage 5 learn: "emotion votes dimensions" or some of these; if empty, as probe.yaml says
init=               # folder of a trained C²SER model: stage 7 fine-tunes it on this corpus, stages 4 to 6 are skipped
cot=true            # true|false: if false, stage 7 trains on implicit chains of thought alone, and stage 6 is skipped
tag=                # name of a further training: C²SER and, if it has options of its own, the encoder are in exp/<tag>
models=             # the models for stages 8 and 9; all if empty; none: no C²SER is trained or asked, only --baselines
baselines=          # systems to compare with, trained, decoded and scored beside C²SER, such as "cascade qwen2_audio"
root=$(CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$root/local/cmd.sh"
. "$root/local/options.sh"
. "$root/utils/parse_options.sh"
[ $# = 0 ] || { printf '%s: %s: not an option; see --help\n' "${0##*/}" "$1" >&2; exit 2; }
. "$root/utils/stage.sh"
. "$root/local/path.sh"
. "$root/local/functions.sh"
. "$root/local/baselines.sh"
. "$root/local/scoring.sh"

read -ra tests <<< "$test_sets"
read -ra copies <<< "$augment"
recorded_set=$train_set
if [ ${#copies[@]} -gt 0 ]; then train_set+=_augmented; fi
read -ra train_valid_sets <<< "$train_set $valid_set"
sets=("${train_valid_sets[@]}" "${tests[@]}")
check_numbers --skip-stages "${skip_stages:-0}"
[ -z "$init" ] || skip_stages+=" 4 5 6"
[ "$cot" = true ] || skip_stages+=" 6"
[ "$models" != none ] || skip_stages+=" 3 4 5 6"
[ "$emotion2vec" != none ] || skip_stages+=" 4"
[ "$emotion2vec$probe_models" != none ] || skip_stages+=" 5"
read_launcher "$gpu_cmd"
gpu_launcher=("${launcher[@]}")
read -ra changes <<< "$perturb"
read -ra compared <<< "$baselines"
read -ra targets <<< "$probe_targets"
check_baselines
check_targets
failed=""
variants=("${changes[@]}")
[ "$wordings" -le 10 ] || die "--wordings: there are 10, not $wordings; give 1 to 10"
for ((wording = 1; wording <= wordings; wording++)); do variants+=("wording$wording"); done

# Where trainings write. Under a tag C²SER has a folder of its own. So have the probe and the encoder, if that is chosen or
# trained by options; otherwise they are shared by all tags.
[[ $tag =~ ^[A-Za-z0-9][A-Za-z0-9_.-]*$|^$ ]] || die "--tag: '$tag' cannot be a folder's name; use letters, digits and -_."
case $tag in
    acoustic | done | marks | explicit* | implicit* | finetune | probe* | tiny | comparison_* | stability_* | cascade* | classifier* | "$encoder")
        die "--tag: $tag is a folder of the recipe itself; choose another name"
        ;;
esac
trained=$exp${tag:+/$tag}
stage_marks=$trained/marks
encoder_home=$exp
if [ -n "$emotion2vec$encoder_config$encoder_options" ] || [ -d "$trained/$encoder" ]; then encoder_home=$trained; fi
acoustic=${emotion2vec:-$encoder_home/$encoder}
acoustic_option=()
if [ -n "$acoustic_arks" ] && [ -z "$init" ]; then acoustic_option=(--acoustic "$trained/acoustic"); fi

choose_size
if [ "$size" != full ] && [ "$ngpu" = 0 ]; then
    # Threads of small models wait for each other often, and must not keep a busy machine's cores while they do: 20 steps of
    # Emotion2Vec-S took 85 s with two threads on two cores that others used too, and 18 s with one (2026-11-28).
    export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-PASSIVE}
fi

if stage 0 "data: describe the corpus"; then
    if [ -n "$table" ]; then
        read -ra options <<< "$import_options"
        py import "$table" --out data --labels "$labels" --folds "$folds" --nj "$nj" "${options[@]}"
    else
        [ -f local/data_prep.py ] || die "this recipe reads a table of recordings; give it with --table"
        site_root=$(site_name "$(basename "$PWD")")
        db_root=${db_root:-${!site_root-}}
        [ "$download" = false ] || db_root=${db_root:-db}
        [ -n "$db_root" ] || die "the corpus is needed; give its folder with --db-root, or set $site_root in local/site.sh"
        python local/data_prep.py --db-root "$db_root" --out data --labels "$labels" --folds "$folds" \
            --download "$download" --nj "$nj"
    fi
    [ ${#copies[@]} = 0 ] || augment_set "data/$recorded_set"
    for name in "${sets[@]}"; do validate_data_dir.sh "data/$name"; done
fi

# Explicit chains of thought quote words and state the speaking rate, so that a corpus without transcripts has none.
if [ "$cot" = true ] && [ -z "$init" ] && lacks_text "${train_valid_sets[@]}"; then
    log "no transcripts: C²SER learns implicit chains of thought from the start, as with --cot false, without stage 6"
    cot=false
    skip_stages+=" 6"
fi

if stage 1 "attributes: measure pitch, loudness and speaking rate"; then
    read_configs attributes
    for name in "${sets[@]}"; do need "data/$name/wav.scp" 0; done
    read_transcribed
    for name in "${transcribed[@]}"; do
        run_map "data/$name" "data/$name/utt2attr" c2ser.bin.extract_attributes "${configs[@]}"
    done
fi

if stage 2 "levels: low, medium or high, by the training set's statistics"; then
    read_transcribed
    if lacks_text "$train_set"; then transcribed=(); fi # levels are relative to the training set
    for name in "${transcribed[@]}"; do need "data/$name/utt2attr" 1; done
    if [ ${#transcribed[@]} -gt 0 ]; then
        py compute_stats --attributes "data/$train_set/utt2attr" --out "$exp/attr_stats.json"
    fi
    for name in "${transcribed[@]}"; do
        run_map "data/$name" "data/$name/utt2level" c2ser.bin.assign_levels --stats "$exp/attr_stats.json"
    done
fi

if stage 3 "cot: write explicit and implicit chains of thought"; then
    read_configs cot
    cot_cmd=$cpu_cmd
    [ "$cot_gpu" = 0 ] || cot_cmd="$gpu_cmd --gpu $cot_gpu"
    for name in "${train_valid_sets[@]}"; do
        styles=(explicit implicit)
        # explicit ones are not needed without stage 6
        if lacks_text "${train_valid_sets[@]}" || { [ "$cot" = false ] && [ ! -s "data/$name/utt2level" ]; }; then
            styles=(implicit)
        else
            need "data/$name/utt2level" 2
        fi
        for style in "${styles[@]}"; do
            run_map_with "${cot_nj:-$nj}" "$cot_cmd" "data/$name" "data/$name/cot_$style" \
                c2ser.bin.generate_cot "${configs[@]}" --style "$style"
        done
    done
fi

if stage 4 "emotion2vec: train Emotion2Vec-S"; then
    if [ -n "$emotion2vec" ]; then
        log "skipped: $emotion2vec is used"
    else
        for name in "${train_valid_sets[@]}"; do need "data/$name/wav.scp" 0; done
        read_configs emotion2vec "$encoder_config"
        read -ra options <<< "$encoder_options"
        read_processes ddp
        log "log: $acoustic/train.log"
        "${gpu_launcher[@]}" --gpu "$ngpu" "$acoustic/train.log" \
            "${processes[@]}" -m c2ser.bin.train_emotion2vec "${configs[@]}" \
            --train "data/$train_set" --valid "data/$valid_set" \
            --out "$acoustic" "${options[@]}"
    fi
fi

if stage 5 "probe: score its embeddings with a small classifier"; then
    read -ra encoders <<< "$probe_models"
    if [ "$emotion2vec" != none ]; then
        need "$acoustic/config.json" 4
        encoders=("$acoustic" "${encoders[@]}")
    fi
    twice=$(for encoder_dir in "${encoders[@]}"; do probe_dir "$encoder_dir"; done | sort | uniq -d)
    [ -z "$twice" ] || die "two encoders would share ${twice%%$'\n'*}; give one as NAME=path"
    # an encoder from stage 4 knows the training set's emotions, so that no fold of it can be tested on
    if [ -n "$emotion2vec" ] && [ -s "data/$train_set/utt2fold" ]; then
        probe_data=(--folds "$(listed "${sets[@]/#/data/}")")
    else
        probe_data=(--train "data/$train_set" --valid "data/$valid_set" --tests "$(listed "${tests[@]/#/data/}")")
    fi
    read_configs probe
    for encoder_dir in "${encoders[@]}"; do train_probes "$encoder_dir"; done
    if [ "${probe_data[0]}" = --folds ]; then
        show_probes cross-validation "${sets[@]/#/data/}"
    else
        for name in "${tests[@]}"; do show_probes "$name" "data/$name"; done
    fi
fi

if stage 6 "explicit: train C²SER on explicit chains of thought"; then
    [ "$emotion2vec" = none ] || need "$acoustic/config.json" 4
    for name in "${train_valid_sets[@]}"; do need "data/$name/cot_explicit" 3; done
    read_new_parts
    read_configs c2ser model explicit "$explicit_config"
    read -ra options <<< "$explicit_options"
    read_processes "$accelerate_config"
    log "log: $trained/explicit/train.log"
    "${gpu_launcher[@]}" --gpu "$ngpu" "$trained/explicit/train.log" \
        "${processes[@]}" -m c2ser.bin.train_c2ser --stage explicit "${configs[@]}" \
        --train "data/$train_set" --valid "data/$valid_set" "${new_parts[@]}" \
        --out "$trained/explicit" "${options[@]}"
fi

if stage 7 "implicit: train the explicit model further, on ever more implicit chains; or fine-tune the model of --init"; then
    [ "$models" = none ] || train_implicit
    train_baselines
fi

# What is decoded and scored: both models, or a fine-tuned one after each epoch that was kept.
read -ra chosen <<< "${models:-explicit implicit}"
[ "$cot" = true ] || chosen=(implicit)
[ "$models" != none ] || chosen=()
if [ -n "$init" ]; then
    chosen=()
    for folder in "$trained"/finetune/epoch_*; do
        [[ $folder = *_label_score ]] || chosen+=("${folder#"$trained/"}")
    done
fi

if stage 8 "decode: let the models answer"; then
    read_configs decode
    for model in "${chosen[@]}"; do
        trained_by=7
        [ "$model" != explicit ] || trained_by=6
        need "$trained/$model/config.json" "$trained_by"
        calibrate_model "$trained/$model"
    done
    for name in "${tests[@]}"; do
        for change in "${changes[@]}"; do
            py perturb_data --data "data/$name" --out "data/$name-$change" --perturbation "$change"
        done
        for model in "${chosen[@]}"; do
            decode_set "$model" "data/$name" "$name" "${configs[@]}"
            for change in "${changes[@]}"; do
                decode_set "$model" "data/$name-$change" "$name-$change" "${configs[@]}"
            done
            for ((wording = 1; wording <= wordings; wording++)); do
                decode_set "$model" "data/$name" "$name-wording$wording" "${configs[@]}" --wording "$wording"
            done
        done
        answer_sets "$name"
    done
fi

if stage 9 "score: read the emotions in the answers, make tables and pictures"; then
    for name in "${tests[@]}"; do
        for model in "${chosen[@]}" "${compared[@]}"; do score_model "$model" "$name"; done
        [ -z "$init" ] || continue # what follows is about both models
        speakers=$(awk '{ print $2 }' "data/$name/utt2spk" | sort -u | wc -l)
        if [ "$speakers" -gt 1 ] && [ -s "$trained/explicit/decode_$name/utt2emo" ]; then compare_systems "$name"; fi
        py measure_stability --data "data/$name" --exp "$trained" --out "$trained/stability_$name"
    done
    show_page
    py report "$exp" --data data --title "$(basename "$PWD")"
fi

[ -z "$failed" ] || die "--baselines:$failed failed in stage 8; see above what to do, and run stages 8 and 9 again"
finish
