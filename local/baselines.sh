# shellcheck shell=bash disable=SC2154
# The stages' part for the systems of --baselines; source it after functions.sh.

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
