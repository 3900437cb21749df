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

# augment_train_set: join the training set with a changed copy of it for each change of --augment.
augment_train_set() {
    local change parts=("data/$recorded_set")
    for change in "${copies[@]}"; do
        py perturb_data --data "data/$recorded_set" --out "data/$recorded_set-$change" --perturbation "$change"
        copy_data_dir.sh --utt-suffix "-$change" "data/$recorded_set-$change" "data/$train_set-$change"
        parts+=("data/$train_set-$change")
    done
    combine_data.sh "data/$train_set" "${parts[@]}"
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

# check_baselines: end the script unless each of --baselines has a configuration.
check_baselines() {
    local name
    for name in "${compared[@]}"; do
        [ -f "$root/local/conf/baselines/$name.yaml" ] || [ -f "conf/baselines/$name.yaml" ] ||
            die "--baselines: $name has no configuration in $root/local/conf/baselines; choose one that has"
        [ "$name" != "$tag" ] || die "--tag: $tag is the folder of a baseline; choose another name"
    done
}

# train_baselines: train those of --baselines that are trained, the classifiers.
train_baselines() {
    local name
    for name in "${compared[@]}"; do
        [[ $name = classifier* ]] || continue
        read_configs "baselines/$name"
        on_gpu "$trained/$name/train.log" python -m c2ser.bin.finetune "data/$train_set" "${configs[@]}" \
            --valid "data/$valid_set" --out "$trained/$name"
    done
}

# is_asked FOLDER: whether the baseline that answered into a folder got an instruction, and can be asked in other words.
is_asked() {
    grep -qs '"prompt"' "$1/answer.json"
}

# tells_levels OPTION...: whether a baseline with these options is told how pitch, loudness and rate of an utterance are.
tells_levels() {
    printf '%s\0' "$@" | grep -zx '.*\.yaml' | xargs -0r grep -Eqs 'voxemo: *(attributes|both|reasoning)|\{(pitch|loudness|rate)\}'
}

# measure_levels DATA: give a changed copy of a test set the levels of its own sound, by the statistics of stage 2.
measure_levels() {
    local configs
    read_configs attributes
    run_map "$1" "$1/utt2attr" c2ser.bin.extract_attributes "${configs[@]}"
    run_map "$1" "$1/utt2level" c2ser.bin.assign_levels --stats "$exp/attr_stats.json"
}

# answer_set BASELINE SET VARIANT OPTION...: let a baseline answer for a data directory, into its decode_VARIANT.
answer_set() {
    run_map_on_gpu "data/$2" "$trained/$1/decode_$3/answer" c2ser.bin.answer "${@:4}"
}

# answer_sets SET: let all of --baselines answer for a test set and its changed copies, and those that get an instruction
# to its paraphrases. One that fails is named in `failed` and does not stop the others.
answer_sets() {
    local name change wording options configs # stage 8 has configs of its own
    for name in "${compared[@]}"; do
        if [[ $name = classifier* ]]; then
            need "$trained/$name/config.json" 7
            options=(--baseline.kind classifier --baseline.model "$trained/$name")
        else
            read_configs "baselines/$name"
            options=("${configs[@]}")
        fi
        answer_set "$name" "$1" "$1" "${options[@]}" || { fail_baseline "$name" && continue; }
        for change in "${changes[@]}"; do
            if tells_levels "${options[@]}" && [ -s "data/$1/utt2level" ]; then measure_levels "data/$1-$change"; fi
            answer_set "$name" "$1-$change" "$1-$change" "${options[@]}" || fail_baseline "$name"
        done
        is_asked "$trained/$name/decode_$1" || continue
        for ((wording = 1; wording <= wordings; wording++)); do
            answer_set "$name" "$1" "$1-wording$wording" "${options[@]}" --wording "$wording" || fail_baseline "$name"
        done
    done
}

# fail_baseline NAME: remember that a baseline failed.
fail_baseline() {
    log "baseline $1 failed, see above; the others go on"
    [[ " $failed " = *" $1 "* ]] || failed+=" $1"
}

# extract_set_labels FOLDER TABLE OPTION...: read the emotions that the answers in a folder name.
extract_set_labels() {
    py extract_labels --answers "$1/answer" --out "$1/$2" "${transcript_option[@]}" "${@:3}"
}

# judge_set FOLDER TABLE OPTION...: let the language model of --judge read the answers; on a GPU, if it runs here.
judge_set() {
    local options mark
    mark=$(mark_of "$1/$2")
    read_configs judge
    options=(--answers "$1/answer" --out "$1/$2" "${transcript_option[@]}" "${configs[@]}" --reader "$judge" "${@:3}")
    # a stopped run of the same is gone on with; what is left of another one is removed
    if ! state_of "${options[@]}" | mark_holds "$mark"; then
        rm -f "$1/$2.partial"
        state_of "${options[@]}" | write_mark "$mark"
    fi
    if [ "$judge" = local ]; then
        on_gpu "$1/$2.log" python -m c2ser.bin.extract_labels "${options[@]}"
    else
        py extract_labels "${options[@]}"
    fi
}

# compare_systems NAME: both models, the baselines and the probe on a test set, with intervals and the accuracy of each
# emotion (Figure 7).
compare_systems() {
    local systems="" folder
    for folder in "$trained/explicit" "$trained/implicit" "${compared[@]/#/$trained/}" "$encoder_home/probe"; do
        if [ -s "$folder/decode_$1/utt2emo" ]; then
            systems+="$(json "$(basename "$folder")"): $(listed "$folder/decode_$1/utt2emo"), "
        fi
    done
    py compare_systems --data "$(listed "data/$1")" --systems "{${systems%, }}" --baseline explicit --max-seconds 36000 \
        --out "$trained/comparison_$1" --title "Accuracy of each emotion on $(basename "$PWD"), $1"
}

# calibrate_model FOLDER: fit the temperature of a model's probabilities. One that came with its own needs no validation set.
calibrate_model() {
    if [ -s "$1/calibration.json" ] && [ ! -s "data/$valid_set/utt2emo" ]; then return; fi
    need "data/$valid_set/utt2emo" 0
    run_once "$trained/done/calibrate_${1#"$trained/"}" "$(weight_stamp "$1")" "${configs[@]}" "$1/calibration.json" \
        "data/$valid_set"/{wav.scp,utt2emo} -- \
        on_gpu "$1/calibrate.log" python -m c2ser.bin.calibrate "${configs[@]}" --model "$1" --data "data/$valid_set"
}
