# shellcheck shell=bash disable=SC2154
# What stage 9 does with the answers of a model; source it after baselines.sh.

# read_answers MODEL SET IS_BASELINE: the emotions that a model's answers name, those for changed copies and other wordings too.
read_answers() {
    local out=$trained/$1/decode_$2 variant is_baseline=$3
    need "$out/answer" 8
    extract_set_labels "$out" utt2emo
    for variant in "${variants[@]}"; do
        if $is_baseline && [[ $variant = wording* ]] && ! is_asked "$out"; then continue; fi
        if $is_baseline && [ ! -s "$out-$variant/answer" ]; then
            log "$1 has no answers for $2-$variant: left out" && continue
        fi
        need "$out-$variant/answer" 8
        extract_set_labels "$out-$variant" utt2emo
    done
}

# score_model MODEL SET: read the answers of C²SER or of a baseline for a test set, and score them.
score_model() {
    local out=$trained/$1/decode_$2 data=data/$2 scored=$trained/$1_label_score/decode_$2
    local is_baseline=false is_scored=true transcript_option=() more=(--probabilities "$trained/$1/decode_$2/utt2prob")
    if [ -s "$data/text" ]; then transcript_option=(--text "$data/text"); fi
    if [[ " $baselines " = *" $1 "* ]]; then is_baseline=true; fi
    if $is_baseline && [ ! -s "$out/answer" ]; then log "$1 has no answers for $2: left out" && return; fi
    read_answers "$1" "$2" $is_baseline
    if $is_baseline && [ ! -s "$out/utt2prob" ]; then is_scored=false more=(); fi # a server gives text alone
    ! $is_scored || need "$out/utt2prob" 8
    if [ -n "$judge" ]; then
        judge_set "$out" utt2judge
        more+=(--judge "$out/utt2judge")
    fi
    if [ "$1" = explicit ] && [ -s "$data/utt2level" ]; then
        more+=(--answers "$out/answer" --levels "$data/utt2level" --text "$data/text")
        [ -z "$judge" ] || judge_set "$out" utt2rationale --part rationale
    fi
    py score --reference "$data/utt2emo" --labels "$out/utt2emo" --times "$out/utt2ms" \
        --data "$data" --out "$out" "${more[@]}"
    # the most probable emotion is another decision than the answer: a row of its own
    $is_scored || return 0
    py argmax_labels --probabilities "$out/utt2prob" --out "$scored/utt2emo"
    py score --reference "$data/utt2emo" --labels "$scored/utt2emo" --data "$data" \
        --probabilities "$out/utt2prob" --reader probabilities --out "$scored"
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
