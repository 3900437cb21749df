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
probe_models=       # further encoders for stage 5 to compare, folders or hub ids, separated by blanks
init=               # a ready C²SER folder: stage 7 fine-tunes it on this corpus, stages 4 to 6 are skipped
acoustic_arks=      # compute acoustic vectors once, before stage 6, at this level (model.acoustic); else on the fly
nj=8                # parallel jobs on CPUs
decode_nj=1         # parallel jobs that decode
ngpu=1              # graphics cards for training; 0 for none
accelerate_config=ddp  # how several cards share C²SER's training: ddp, fsdp2, deepspeed, or a file of your own
cot_nj=             # parallel jobs that write chains of thought; as --nj if empty
cot_gpu=0           # graphics cards of each of them, for "writer: local" in cot.yaml
judge=              # local|server|batch: stage 9 also lets the language model of judge.yaml read the answers
perturb=            # changes of the test sets that stages 8 and 9 try too, for example "noise20 gain-6 speed0.9"
wordings=0          # paraphrases of the instruction that stages 8 and 9 try too, up to 10
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
[ -z "$init" ] || skip_stages="4 5 6"
[ "$labels" != raw ] || { skip_stages+=" 3 6 7 8 9" && log "raw labels are for the probe alone: no stages 3 and 6 to 9"; }
read -ra changes <<< "$perturb"
variants=("${changes[@]}")
for ((wording = 1; wording <= wordings; wording++)); do variants+=("wording$wording"); done

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
    local folder=$1 command=(python -m "c2ser.bin.$2") shared=ddp
    [ "$2" != train_c2ser ] || shared=$accelerate_config
    if [ "$ngpu" -gt 1 ]; then
        [ -f "$shared" ] || shared=$(conf "accelerate/$shared")
        command=(accelerate launch --config_file "$shared" --num_processes "$ngpu" -m "c2ser.bin.$2")
    fi
    log "its log is $folder/train.log"
    "${gpu_launcher[@]}" --gpu "$ngpu" "$folder/train.log" "${command[@]}" --out "$folder" "${@:3}"
}

# train_c2ser STAGE OPTION...: train one of the models.
train_c2ser() {
    [ -z "$acoustic_arks" ] || [ -n "$init" ] || set -- "$@" --acoustic "$exp/acoustic"
    fit "$exp/$1" train_c2ser --config "$(conf "$1")" --stage "$1" \
        --train "data/$train_set" --valid "data/$valid_set" "${@:2}"
}

# listed WORD...: a list of strings as JSON.
listed() {
    local words
    words=$(printf '"%s",' "$@")
    echo "[${words%,}]"
}

# place ENCODER: the folder of what its probe gives.
place() {
    if [ "$1" = "$acoustic" ]; then echo "$exp/probe"; else echo "$exp/probe_$(basename "$1")"; fi
}

# probe ENCODER OPTION...: embeddings of all sets, and a small classifier on them.
probe() {
    local folder
    folder=$(place "$1")
    for name in "${sets[@]}"; do
        py extract_embeddings --model "$1" --data "data/$name" --out "$folder/$name.scp"
    done
    py train_probe --config "$(conf probe)" --embeddings "$folder" --out "$folder" "${@:2}"
}

# show_probes NAME SET...: tables and pictures of the labels of all probes; together the sets are scored as NAME.
show_probes() {
    local folder data systems=""
    data=$(listed "${@:2}")
    for encoder in "${encoders[@]}"; do
        folder=$(place "$encoder")
        systems+="\"$(basename "$encoder")\": [\"$folder/decode_$1/utt2emo\"], "
        py plot_embeddings --data "$data" --embeddings "$folder" --out "$folder/decode_$1/embeddings.png" \
            --title "$(basename "$encoder") on $(basename "$PWD"), $1"
    done
    py compare_systems --data "$data" --systems "{${systems%, }}" --out "$exp/probe/decode_$1" \
        --title "Probes on $(basename "$PWD"), $1"
}

# answer MODEL DATA NAME OPTION...: let a model answer, into its decode_NAME.
answer() {
    map_data.sh --nj "$decode_nj" --cmd "$gpu_cmd --gpu $((ngpu > 0))" --max-rejected "$max_rejected" \
        "$2" "$exp/$1/decode_$3/answer" python -m c2ser.bin.decode --config "$(conf decode)" --model "$exp/$1" "${@:4}"
}

# labels FOLDER TABLE OPTION...: read the answers in a folder; what the speakers said is known from `said`.
labels() {
    py extract_labels --answers "$1/answer" --out "$1/$2" "${said[@]}" "${@:3}"
}

# compare NAME: both models and the probe on a test set, with intervals and the accuracy of each emotion (Figure 7).
compare() {
    local systems="" folder
    for model in explicit implicit probe; do
        folder=$exp/$model/decode_$1
        if [ -s "$folder/utt2emo" ]; then systems+="\"$model\": [\"$folder/utt2emo\"], "; fi
    done
    py compare_systems --data "$(listed "data/$1")" --systems "{${systems%, }}" --baseline explicit --max-seconds 36000 \
        --out "$exp/comparison_$1" --title "Accuracy of each emotion on $(basename "$PWD"), $1"
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
    cot_cmd=$cpu_cmd
    [ "$cot_gpu" = 0 ] || cot_cmd="$gpu_cmd --gpu $cot_gpu"
    for name in "$train_set" "$valid_set"; do
        need "data/$name/utt2level" 2
        for style in explicit implicit; do
            map_data.sh --nj "${cot_nj:-$nj}" --cmd "$cot_cmd" --max-rejected "$max_rejected" "data/$name" \
                "data/$name/cot_$style" python -m c2ser.bin.generate_cot --config "$(conf cot)" --style "$style"
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
    read -ra encoders <<< "$probe_models"
    encoders=("$acoustic" "${encoders[@]}")
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
    for name in "$train_set" "$valid_set"; do need "data/$name/cot_explicit" 3; done
    parts=(--model.emotion2vec "$acoustic")
    if [ -n "$acoustic_arks" ]; then
        for name in "$train_set" "$valid_set"; do
            py extract_embeddings --model "$acoustic" --level "$acoustic_arks" \
                --data "data/$name" --out "$exp/acoustic/$name.scp"
        done
    fi
    if [ "$size" = tiny ]; then
        py make_tiny_models --config "$(conf tiny_models)" --data "data/$train_set" --out "$exp/tiny"
        parts+=(--model.whisper "$exp/tiny/whisper" --model.llm "$exp/tiny/llm")
    fi
    train_c2ser explicit "${parts[@]}"
fi

if stage 7 "implicit: train on, with ever fewer explicit chains of thought; or fine-tune the model of --init"; then
    [ -n "$init" ] || need "$exp/explicit/config.json" 6
    for name in "$train_set" "$valid_set"; do need "data/$name/cot_implicit" 3; done
    if [ -n "$init" ]; then
        train_c2ser finetune --init "$init"
    else
        train_c2ser implicit --init "$exp/explicit"
    fi
fi

# What is decoded and scored: both models, or a fine-tuned one after each epoch that was kept.
models=(explicit implicit)
if [ -n "$init" ]; then
    models=("$exp"/finetune/epoch_*)
    models=("${models[@]#"$exp/"}")
fi

if stage 8 "decode: let the models answer"; then
    [ -n "$init" ] || need "$exp/explicit/config.json" 6
    for model in "${models[@]}"; do
        need "$exp/$model/config.json" 7
        if [ ! -s "$exp/$model/calibration.json" ]; then
            need "data/$valid_set/utt2emo" 0
            "${gpu_launcher[@]}" --gpu $((ngpu > 0)) "$exp/$model/calibrate.log" python -m c2ser.bin.calibrate \
                --config "$(conf decode)" --model "$exp/$model" --data "data/$valid_set"
        fi
    done
    for name in "${tests[@]}"; do
        for change in "${changes[@]}"; do
            py perturb_data --data "data/$name" --out "data/$name-$change" --perturbation "$change"
        done
        for model in "${models[@]}"; do
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
        for model in "${models[@]}"; do
            folder=$exp/$model/decode_$name
            need "$folder/answer" 8
            labels "$folder" utt2emo
            for variant in "${variants[@]}"; do
                need "$folder-$variant/answer" 8
                labels "$folder-$variant" utt2emo
            done
            more=()
            if [ -n "$judge" ]; then
                labels "$folder" utt2judge --config "$(conf judge)" --reader "$judge"
                more=(--judge "$folder/utt2judge")
            fi
            if [ "$model" = explicit ]; then
                more+=(--answers "$folder/answer" --levels "data/$name/utt2level" --text "data/$name/text")
                if [ -n "$judge" ]; then
                    labels "$folder" utt2rationale --config "$(conf judge)" --reader "$judge" --part rationale
                fi
            fi
            py score --reference "data/$name/utt2emo" --labels "$folder/utt2emo" --times "$folder/utt2ms" \
                --data "data/$name" --out "$folder" "${more[@]}"
            # the most probable emotion is another decision than the answer: a row of its own
            need "$folder/utt2prob" 8
            scored=$exp/${model}_label_score/decode_$name
            py most_probable --probabilities "$folder/utt2prob" --out "$scored/utt2emo"
            py score --reference "data/$name/utt2emo" --labels "$scored/utt2emo" --data "data/$name" --out "$scored"
        done
        [ -z "$init" ] || continue # what follows is about both models
        if [ "$(awk '{ print $2 }' "data/$name/utt2spk" | sort -u | wc -l)" -gt 1 ]; then compare "$name"; fi
        py stability --data "data/$name" --exp "$exp" --out "$exp/stability_$name"
    done
    py show_results --exp "$exp" --out "$exp/RESULTS.md" --title "$(basename "$PWD")"
fi

finish
