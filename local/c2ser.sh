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
encoder=emotion2vec_s  # name that the encoder of stage 4 has in exp
probe_models=       # further encoders for stage 5 to compare, folders or hub ids, separated by blanks
init=               # a ready C²SER folder: stage 7 fine-tunes it on this corpus, stages 4 to 6 are skipped
cot=true            # true|false: learn explicit chains of thought first, or (stage 7) implicit ones alone for as many steps
train_options=      # further options for what stages 4, 6 and 7 train, separated by blanks; write --train-options="…"
models=             # the models that stages 8 and 9 are about; all if empty
acoustic_arks=      # compute acoustic vectors once, before stage 6, at this level (model.acoustic); else on the fly
nj=8                # parallel jobs on CPUs
decode_nj=1         # parallel jobs that decode or make embeddings, each with a card of its own if there are cards
ngpu=1              # GPUs for training; 0 for none
accelerate_config=ddp  # how several GPUs share C²SER's training: ddp, fsdp2, or a configuration file for accelerate
cot_nj=             # parallel jobs that write chains of thought; as --nj if empty
cot_gpu=0           # GPUs of each of them, for "writer: local" in cot.yaml
judge=              # local|server|batch: stage 9 also lets the language model of judge.yaml read the answers
perturb=            # changes of the test sets that stages 8 and 9 try too, for example "noise20 gain-6 speed0.9"
wordings=0          # paraphrases of the instruction that stages 8 and 9 try too, up to 10
max_rejected=10     # stop if more percent of the utterances of a set cannot be processed
root=$(CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$root/local/cmd.sh"
. "$root/utils/parse_options.sh"
[ $# = 0 ] || { printf '%s: %s: not an option; see --help\n' "${0##*/}" "$1" >&2; exit 2; }
. "$root/utils/stage.sh"
. "$root/local/path.sh"
. "$root/local/functions.sh"

read -ra tests <<< "$test_sets"
read -ra taught <<< "$train_set $valid_set"
sets=("${taught[@]}" "${tests[@]}")
stage_marks=data/log
read_launcher "$gpu_cmd"
gpu_launcher=("${launcher[@]}")
[ -z "$init" ] || skip_stages="4 5 6"
[ "$cot" = true ] || skip_stages+=" 6"
[ "$labels" != raw ] || { skip_stages+=" 3 6 7 8 9" && log "raw labels are for the probe alone: no stages 3 and 6 to 9"; }
read -ra changes <<< "$perturb"
variants=("${changes[@]}")
[ "$wordings" -le 10 ] || die "--wordings: there are 10, not $wordings"
for ((wording = 1; wording <= wordings; wording++)); do variants+=("wording$wording"); done

if stage 0 "data: describe the corpus"; then
    site_root=$(site_name "$(basename "$PWD")")
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
        if mute "$name"; then continue; fi
        map "$name" "data/$name/utt2attr" c2ser.bin.extract_attributes --config "$(conf attributes)"
    done
fi

if stage 2 "levels: low, medium or high, by the training set's statistics"; then
    heard=()
    for name in "${sets[@]}"; do mute "$name" || heard+=("$name"); done
    for name in "${heard[@]}"; do need "data/$name/utt2attr" 1; done
    py compute_stats --attributes "data/$train_set/utt2attr" --out "$exp/attr_stats.json"
    for name in "${heard[@]}"; do
        map "$name" "data/$name/utt2level" c2ser.bin.assign_levels --stats "$exp/attr_stats.json"
    done
fi

if stage 3 "cot: write explicit and implicit chains of thought"; then
    cot_cmd=$cpu_cmd
    [ "$cot_gpu" = 0 ] || cot_cmd="$gpu_cmd --gpu $cot_gpu"
    for name in "${taught[@]}"; do
        need "data/$name/utt2level" 2
        for style in explicit implicit; do
            map_with "${cot_nj:-$nj}" "$cot_cmd" "data/$name" "data/$name/cot_$style" \
                c2ser.bin.generate_cot --config "$(conf cot)" --style "$style"
        done
    done
fi

if stage 4 "emotion2vec: train Emotion2Vec-S"; then
    if [ -n "$emotion2vec" ]; then
        log "skipped: $emotion2vec is used"
    else
        for name in "${taught[@]}"; do need "data/$name/wav.scp" 0; done
        fit "$exp/$encoder" train_emotion2vec --config "$(conf emotion2vec)" \
            --train "data/$train_set" --valid "data/$valid_set"
    fi
fi
acoustic=${emotion2vec:-$exp/$encoder}

if stage 5 "probe: score its embeddings with a small classifier"; then
    need "$acoustic/config.json" 4
    read -ra encoders <<< "$probe_models"
    encoders=("$acoustic" "${encoders[@]}")
    twice=$(for encoder in "${encoders[@]}"; do place "$encoder"; done | sort | uniq -d)
    [ -z "$twice" ] || die "two encoders would share ${twice%%$'\n'*}; rename the folder of one of them"
    # an encoder from stage 4 knows the training set's emotions, so that no fold of it can be tested on
    if [ -n "$emotion2vec" ] && [ -s "data/$train_set/utt2fold" ]; then
        ways=(--folds "$(listed "${sets[@]/#/data/}")")
    else
        ways=(--train "data/$train_set" --valid "data/$valid_set" --tests "$(listed "${tests[@]/#/data/}")")
    fi
    for encoder in "${encoders[@]}"; do probe "$encoder" "${ways[@]}"; done
    if [ "${ways[0]}" = --folds ]; then
        show_probes cross-validation "${sets[@]/#/data/}"
    else
        for name in "${tests[@]}"; do show_probes "$name" "data/$name"; done
    fi
fi

if stage 6 "explicit: train C²SER on explicit chains of thought"; then
    need "$acoustic/config.json" 4
    for name in "${taught[@]}"; do need "data/$name/cot_explicit" 3; done
    train_new explicit explicit
fi

if stage 7 "implicit: train on, with ever fewer explicit chains of thought; or fine-tune the model of --init"; then
    [ -n "$init" ] || [ "$cot" = false ] || need "$exp/explicit/config.json" 6
    for name in "${taught[@]}"; do need "data/$name/cot_implicit" 3; done
    if [ -n "$init" ]; then
        train_c2ser finetune finetune --init "$init"
    elif [ "$cot" = false ]; then
        need "$acoustic/config.json" 4
        train_new implicit direct
    else
        train_c2ser implicit implicit --init "$exp/explicit"
    fi
fi

# What is decoded and scored: both models, or a fine-tuned one after each epoch that was kept.
read -ra chosen <<< "${models:-explicit implicit}"
[ "$cot" = true ] || chosen=(implicit)
if [ -n "$init" ]; then
    chosen=()
    for folder in "$exp"/finetune/epoch_*; do
        [[ $folder = *_label_score ]] || chosen+=("${folder#"$exp/"}")
    done
fi

if stage 8 "decode: let the models answer"; then
    for model in "${chosen[@]}"; do
        trained=7
        [ "$model" != explicit ] || trained=6
        need "$exp/$model/config.json" "$trained"
        calibration=$exp/$model/calibration.json
        if [ ! -s "$calibration" ] || [ "$exp/$model/config.json" -nt "$calibration" ]; then # or trained anew since
            need "data/$valid_set/utt2emo" 0
            on_card "$exp/$model/calibrate.log" calibrate \
                --config "$(conf decode)" --model "$exp/$model" --data "data/$valid_set"
        fi
    done
    for name in "${tests[@]}"; do
        for change in "${changes[@]}"; do
            py perturb_data --data "data/$name" --out "data/$name-$change" --perturbation "$change"
        done
        for model in "${chosen[@]}"; do
            answer "$model" "data/$name" "$name"
            for change in "${changes[@]}"; do answer "$model" "data/$name-$change" "$name-$change"; done
            for ((wording = 1; wording <= wordings; wording++)); do
                answer "$model" "data/$name" "$name-wording$wording" --wording "$wording"
            done
        done
    done
fi

if stage 9 "score: read the emotions in the answers, make tables and pictures"; then
    for name in "${tests[@]}"; do
        said=()
        if [ -s "data/$name/text" ]; then said=(--text "data/$name/text"); fi
        for model in "${chosen[@]}"; do
            folder=$exp/$model/decode_$name
            need "$folder/answer" 8
            labels "$folder" utt2emo
            for variant in "${variants[@]}"; do
                need "$folder-$variant/answer" 8
                labels "$folder-$variant" utt2emo
            done
            more=()
            if [ -n "$judge" ]; then
                judged "$folder" utt2judge
                more=(--judge "$folder/utt2judge")
            fi
            if [ "$model" = explicit ] && [ -s "data/$name/utt2level" ]; then
                more+=(--answers "$folder/answer" --levels "data/$name/utt2level" --text "data/$name/text")
                [ -z "$judge" ] || judged "$folder" utt2rationale --part rationale
            fi
            py score --reference "data/$name/utt2emo" --labels "$folder/utt2emo" --times "$folder/utt2ms" \
                --data "data/$name" --out "$folder" "${more[@]}"
            # the most probable emotion is another decision than the answer: a row of its own
            need "$folder/utt2prob" 8
            scored=$exp/${model}_label_score/decode_$name
            py argmax_labels --probabilities "$folder/utt2prob" --out "$scored/utt2emo"
            py score --reference "data/$name/utt2emo" --labels "$scored/utt2emo" --data "data/$name" --out "$scored"
        done
        [ -z "$init" ] || continue # what follows is about both models
        speakers=$(awk '{ print $2 }' "data/$name/utt2spk" | sort -u | wc -l)
        if [ "$speakers" -gt 1 ] && [ -s "$exp/explicit/decode_$name/utt2emo" ]; then compare "$name"; fi
        py measure_stability --data "data/$name" --exp "$exp" --out "$exp/stability_$name"
    done
    py show_results --exp "$exp" --out "$exp/RESULTS.md" --title "$(basename "$PWD")"
fi

finish
