# shellcheck shell=bash disable=SC2154
# Functions that several stages of c2ser.sh use; source it after its settings, which they read.

# read_configs NAME...: put `--config FILE` for each configuration into the array `configs`; a later one wins. NAME.yaml is
# looked for in local/conf, local/conf/<size> and in the recipe's own conf, and all that are there are taken, in that order.
# A NAME that ends in .yaml is a file itself; an empty one is passed over.
read_configs() {
    local name file before
    configs=()
    for name in "$@"; do
        [ -n "$name" ] || continue
        before=${#configs[@]}
        if [[ $name = *.yaml ]]; then
            [ -f "$name" ] || die "$name: no such configuration; name a YAML file"
            configs+=(--config "$name")
            continue
        fi
        for file in "$root/local/conf/$name.yaml" "$root/local/conf/$size/$name.yaml" "conf/$name.yaml"; do
            if [ -f "$file" ]; then configs+=(--config "$file"); fi
        done
        [ "${#configs[@]}" -gt "$before" ] || die "$name.yaml is missing; put it into $root/local/conf/$size"
    done
}

# choose_size: fill in --size and --ngpu where they were not given, by the largest GPU of this machine. The GPUs of a cluster
# cannot be asked; they count as large.
choose_size() {
    local mib=0
    if [ -n "$size" ] && [ "$ngpu" -ge 0 ]; then return; fi
    read_launcher "$gpu_cmd"
    if [ "${launcher[0]##*/}" = run.py ]; then
        mib=$(nvidia-smi --query-gpu=memory.total --format=csv,noheader,nounits 2> /dev/null | sort -n | tail -n 1) || true
    else
        mib=999999
    fi
    if [[ ! $mib =~ ^[0-9]+$ ]]; then mib=0; fi
    if [ "$ngpu" -lt 0 ]; then ngpu=$((mib > 0)); fi
    if [ -z "$size" ]; then
        size=small
        if [ "$ngpu" -gt 0 ] && [ "$mib" -ge 40000 ]; then size=full; fi
    fi
    log "size: $size, on ${ngpu/#0/no} GPU"
}

# read_processes NAME: put what starts a training into the array `processes`: python, or one process for each of several
# GPUs, which share the work as NAME.yaml of local/conf/accelerate or of conf/accelerate, or the file NAME, says.
read_processes() {
    local file
    processes=(python)
    [ "$ngpu" -gt 1 ] || return 0
    for file in "$1" "conf/accelerate/$1.yaml" "$root/local/conf/accelerate/$1.yaml"; do
        if [ -f "$file" ]; then
            processes+=(-m c2ser.training.launch --config_file "$file" --num_processes "$ngpu") && return
        fi
    done
    die "--accelerate-config: $1 is neither a file nor one of $root/local/conf/accelerate; choose one of these"
}

# augment_set SET: write SET_augmented, which is SET with a changed copy of it for each change of --augment.
augment_set() {
    change_copies "$1"
    join_copies "$1"
}

# change_copies SET: write SET-<change> for each change of --augment.
change_copies() {
    local change
    for change in "${copies[@]}"; do
        py perturb_data --data "$1" --out "$1-$change" --perturbation "$change"
    done
}

# join_copies SET: write SET_augmented, which is SET with its changed copies SET-<change> under names of their own.
join_copies() {
    local change parts=("$1")
    for change in "${copies[@]}"; do
        copy_data_dir.sh --utt-suffix "-$change" "$1-$change" "${1}_augmented-$change"
        parts+=("${1}_augmented-$change")
    done
    combine_data.sh "${1}_augmented" "${parts[@]}"
}

# on_gpu LOG COMMAND...: run a command that holds a model on one GPU, or on a CPU if --ngpu is 0.
on_gpu() {
    log "log: $1"
    "${gpu_launcher[@]}" --gpu $((ngpu > 0)) "$@"
}

# mark_of FILE: the mark of a file that a stage makes.
mark_of() {
    echo "$marks/${1//\//,}"
}

# run_map_with NJ LAUNCHER DATA TABLE ENTRY_POINT OPTION...: make a table of a data directory in parallel jobs.
run_map_with() {
    map_data.sh --nj "$1" --cmd "$2" --max-rejected "$max_rejected" --mark "$(mark_of "$4")" "$3" "$4" python -m "${@:5}"
}

# run_map DATA TABLE ENTRY_POINT OPTION...: the same on CPUs.
run_map() {
    run_map_with "$nj" "$cpu_cmd" "$@"
}

# run_map_on_gpu DATA TABLE ENTRY_POINT OPTION...: the same with a model, each job on one GPU, or on a CPU if --ngpu is 0.
run_map_on_gpu() {
    run_map_with "$decode_nj" "$gpu_cmd --gpu $((ngpu > 0))" "$@"
}

# lacks_text SET...: whether one of these sets has no transcripts.
lacks_text() {
    local name
    for name in "$@"; do
        if [ -s "data/$name/wav.scp" ] && [ ! -s "data/$name/text" ]; then return; fi
    done
    return 1
}

# read_transcribed: put the sets that have transcripts into the array `transcribed`, and name the others; their speaking
# rate cannot be measured, and explicit chains of thought are all that the attributes are for.
read_transcribed() {
    local name without=()
    transcribed=()
    for name in "${sets[@]}"; do
        if lacks_text "$name"; then without+=("$name"); else transcribed+=("$name"); fi
    done
    [ ${#without[@]} = 0 ] || log "no transcripts, so no speaking rates and no attributes and levels: ${without[*]}"
}

# weight_stamp FOLDER...: sizes and times of the weights in model folders; they change when a model is trained anew.
weight_stamp() {
    local folder
    for folder in "$@"; do
        [ ! -d "$folder" ] || find "$folder" -maxdepth 1 -name '*.safetensors' -printf '%f %s %T@\n' | sort
    done
}

# read_new_parts: make the parts that a new C²SER model takes from files, and put the options that name them into the array
# `new_parts`.
read_new_parts() {
    local name
    new_parts=()
    if [ "$emotion2vec" != none ]; then
        new_parts=(--model.emotion2vec "$acoustic" "${acoustic_option[@]}")
    elif [ -n "$acoustic_arks" ]; then
        die "--acoustic-arks: without Emotion2Vec-S there are no acoustic vectors; leave it out"
    fi
    if [ -n "$acoustic_arks" ]; then
        for name in "${train_valid_sets[@]}"; do
            run_map_on_gpu "data/$name" "$trained/acoustic/$name.scp" c2ser.bin.extract_embeddings \
                --model "$acoustic" --level "$acoustic_arks"
        done
    fi
    if [ "$size" = small ]; then
        for name in whisper-base smollm2-135m-instruct; do python "$root/tools/get_models.py" "$name"; done
        new_parts+=(--model.whisper "$root/tools/models/whisper-base" --model.llm "$root/tools/models/smollm2-135m-instruct")
    elif [ "$size" = tiny ]; then
        read_configs tiny_models
        py make_tiny_models "${configs[@]}" --data "data/$train_set" --out "$trained/tiny"
        new_parts+=(--model.whisper "$trained/tiny/whisper" --model.llm "$trained/tiny/llm")
    fi
}

# encoder_name ENCODER: what an encoder is called: what stands before =, or the last part of its path.
encoder_name() {
    if [[ $1 =~ ^[A-Za-z0-9][A-Za-z0-9_.-]*= ]]; then echo "${1%%=*}"; else basename "$1"; fi
}

# encoder_path ENCODER: where it is: what stands behind NAME=, or all of it.
encoder_path() {
    if [[ $1 =~ ^[A-Za-z0-9][A-Za-z0-9_.-]*= ]]; then echo "${1#*=}"; else echo "$1"; fi
}

# probe_dir ENCODER: the folder of what the probe of an encoder gives.
probe_dir() {
    if [ "$1" = "$acoustic" ]; then echo "$encoder_home/probe"; else echo "$encoder_home/probe_$(encoder_name "$1")"; fi
}

# check_targets: end the script unless each of --probe-targets can be learnt; without any, `targets` is the empty one.
check_targets() {
    local target
    for target in "${targets[@]}"; do
        [[ $target =~ ^(emotion|votes|dimensions)$ ]] ||
            die "--probe-targets: no probe learns $target; choose of emotion, votes and dimensions"
    done
    [[ -z $probe_targets || $emotion2vec$probe_models != none ]] ||
        die "--probe-targets: without Emotion2Vec-S there is no encoder to probe; name one with --probe-models"
    [ ${#targets[@]} -gt 0 ] || targets=("")
}

# target_dir FOLDER TARGET: the folder of the probe that learns a target, beside the one of emotions.
target_dir() {
    case $2 in
        votes | dimensions) echo "$1-$2" ;;
        *) echo "$1" ;;
    esac
}

# train_probes ENCODER: its embeddings of all sets, and a probe on them for each target.
train_probes() {
    local name target out path
    out=$(probe_dir "$1") path=$(encoder_path "$1")
    for name in "${sets[@]}"; do
        run_map_on_gpu "data/$name" "$out/$name.scp" c2ser.bin.extract_embeddings --model "$path"
    done
    for target in "${targets[@]}"; do
        on_gpu "$(target_dir "$out" "$target")/train_probe.log" python -m c2ser.bin.train_probe "${configs[@]}" \
            ${target:+--probe.target "$target"} --embeddings "$out" "${probe_data[@]}" --encoder "$path" \
            --out "$(target_dir "$out" "$target")"
    done
}

# show_probes NAME DATA...: tables and pictures of what all probes predict; the data directories are scored together as NAME.
show_probes() {
    local encoder_dir target home folder name data systems="" has_values=false
    data=$(listed "${@:2}")
    for encoder_dir in "${encoders[@]}"; do
        home=$(probe_dir "$encoder_dir") name=$(encoder_name "$encoder_dir")
        if [ -s "$2/utt2emo" ]; then
            py plot_embeddings --data "$data" --embeddings "$home" --out "$home/decode_$1/embeddings.png" \
                --title "$name on $(basename "$PWD"), $1"
        fi
        for target in "${targets[@]}"; do
            folder=$(target_dir "$home" "$target")
            if [ -s "$folder/decode_$1/utt2vad" ]; then has_values=true && continue; fi
            systems+="$(json "$(target_dir "$name" "$target")"): $(listed "$folder/decode_$1/utt2emo"), "
        done
    done
    [ -z "$systems" ] || py compare_systems --data "$data" --systems "{${systems%, }}" --out "$encoder_home/probe/decode_$1" \
        --title "Probes on $(basename "$PWD"), $1"
    ! $has_values || show_page # values are no labels, and stand there alone
}

# show_page: RESULTS.md, with all that has been scored.
show_page() {
    py show_results --exp "$exp" --out "$exp/RESULTS.md" --title "$(basename "$PWD")"
}

# decode_set MODEL DATA NAME OPTION...: let a model answer for a data directory, into its decode_NAME.
decode_set() {
    run_map_on_gpu "$2" "$trained/$1/decode_$3/answer" c2ser.bin.decode --model "$trained/$1" "${@:4}"
}

# calibrate_model FOLDER: fit the temperature of a model's probabilities. One that came with its own needs no validation set.
calibrate_model() {
    if [ -s "$1/calibration.json" ] && [ ! -s "data/$valid_set/utt2emo" ]; then return; fi
    need "data/$valid_set/utt2emo" 0
    run_once "$trained/done/calibrate_${1#"$trained/"}" "$(weight_stamp "$1")" "${configs[@]}" "$1/calibration.json" \
        "data/$valid_set"/{wav.scp,utt2emo} -- \
        on_gpu "$1/calibrate.log" python -m c2ser.bin.calibrate "${configs[@]}" --model "$1" --data "data/$valid_set"
}

# train_implicit: train the explicit model further, or a new one if there is no explicit stage; or fine-tune that of --init.
train_implicit() {
    local name options training out start
    [ -n "$init" ] || [ "$cot" = false ] || need "$trained/explicit/config.json" 6
    for name in "${train_valid_sets[@]}"; do need "data/$name/cot_implicit" 3; done
    if [ -n "$init" ]; then
        training=finetune out=$trained/finetune start=(--init "$init")
        read_configs c2ser finetune "$implicit_config"
    elif [ "$cot" = false ]; then
        [ "$emotion2vec" = none ] || need "$acoustic/config.json" 4
        read_new_parts
        training=direct out=$trained/implicit start=("${new_parts[@]}")
        read_configs c2ser model direct "$implicit_config"
    else
        training=implicit out=$trained/implicit start=(--init "$trained/explicit" "${acoustic_option[@]}")
        read_configs c2ser implicit "$implicit_config"
    fi
    read -ra options <<< "$implicit_options"
    read_processes "$accelerate_config"
    log "log: $out/train.log"
    "${gpu_launcher[@]}" --gpu "$ngpu" "$out/train.log" \
        "${processes[@]}" -m c2ser.bin.train_c2ser --stage "$training" "${configs[@]}" \
        --train "data/$train_set" --valid "data/$valid_set" "${start[@]}" \
        --out "$out" "${options[@]}"
}
