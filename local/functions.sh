# shellcheck shell=bash disable=SC2154
# The words that the stages of c2ser.sh are written in; source it after its settings, which they read.

# conf NAME: the recipe's own configuration, or the shared one of this size, or of all sizes.
conf() {
    local path
    for path in "conf/$1.yaml" "$root/local/conf/$size/$1.yaml" "$root/local/conf/$1.yaml"; do
        if [ -f "$path" ]; then echo "$path" && return; fi
    done
    die "$1.yaml is missing; put it into $root/local/conf/$size"
}

# map_with NJ LAUNCHER DATA TABLE COMMAND...: fill a table in so many jobs.
map_with() {
    map_data.sh --nj "$1" --cmd "$2" --max-rejected "$max_rejected" --since "$begun" "$3" "$4" python -m "${@:5}"
}

# map SET TABLE COMMAND...: fill a table on CPUs.
map() {
    map_with "$nj" "$cpu_cmd" "data/$1" "${@:2}"
}

# mute SET: whether a test set is without transcripts, so that nothing can be measured of it.
mute() {
    [[ " $test_sets " == *" $1 "* ]] && [ ! -s "data/$1/text" ] || return 1
    log "data/$1 has no transcripts: no attributes and no levels"
}

# on_card LOG NAME OPTION...: run an entry point that holds a model, where the cards are; on a processor if there are none.
on_card() {
    log "its log is $1"
    "${gpu_launcher[@]}" --gpu $((ngpu > 0)) "$1" python -m "c2ser.bin.$2" "${@:3}"
}

# fit FOLDER NAME OPTION...: train with an entry point, on one GPU, several, or none.
fit() {
    local folder=$1 command=(python -m "c2ser.bin.$2") shared=ddp further
    read -ra further <<< "$train_options"
    [ "$2" != train_c2ser ] || shared=$accelerate_config
    if [ "$ngpu" -gt 1 ]; then
        [ -f "$shared" ] || shared=$(conf "accelerate/$shared")
        command=(python -m c2ser.training.launch --config_file "$shared" --num_processes "$ngpu" -m "c2ser.bin.$2")
    fi
    log "its log is $folder/train.log"
    "${gpu_launcher[@]}" --gpu "$ngpu" "$folder/train.log" "${command[@]}" --out "$folder" "${@:3}" "${further[@]}"
}

# train_c2ser MODEL STAGE OPTION...: train one of the models as a stage of the training has it.
train_c2ser() {
    [ -z "$acoustic_arks" ] || [ -n "$init" ] || set -- "$@" --acoustic "$exp/acoustic"
    fit "$exp/$1" train_c2ser --config "$(conf "$2")" --stage "$2" \
        --train "data/$train_set" --valid "data/$valid_set" "${@:3}"
}

# train_new MODEL STAGE: train a model that is put together from its trained parts.
train_new() {
    local parts=(--model.emotion2vec "$acoustic") name
    if [ -n "$acoustic_arks" ]; then
        for name in "$train_set" "$valid_set"; do
            embed "$acoustic" "data/$name" "$exp/acoustic/$name.scp" --level "$acoustic_arks"
        done
    fi
    if [ "$size" = tiny ]; then
        py make_tiny_models --config "$(conf tiny_models)" --data "data/$train_set" --out "$exp/tiny"
        parts+=(--model.whisper "$exp/tiny/whisper" --model.llm "$exp/tiny/llm")
    fi
    train_c2ser "$1" "$2" "${parts[@]}"
}

# map_models DATA TABLE COMMAND...: fill a table in as many jobs as decode, each with a card of its own if there are cards.
map_models() {
    map_with "$decode_nj" "$gpu_cmd --gpu $((ngpu > 0))" "$@"
}

# embed ENCODER DATA TABLE OPTION...: embeddings of a set.
embed() {
    map_models "$2" "$3" c2ser.bin.extract_embeddings --model "$1" "${@:4}"
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
        embed "$1" "data/$name" "$folder/$name.scp"
    done
    on_card "$folder/train_probe.log" train_probe --config "$(conf probe)" --embeddings "$folder" --out "$folder" "${@:2}"
}

# show_probes NAME SET...: tables and pictures of the labels of all probes; together the sets are scored as NAME.
show_probes() {
    local folder data systems=""
    data=$(listed "${@:2}")
    for encoder in "${encoders[@]}"; do
        folder=$(place "$encoder")
        systems+="$(json "$(basename "$encoder")"): $(listed "$folder/decode_$1/utt2emo"), "
        py plot_embeddings --data "$data" --embeddings "$folder" --out "$folder/decode_$1/embeddings.png" \
            --title "$(basename "$encoder") on $(basename "$PWD"), $1"
    done
    py compare_systems --data "$data" --systems "{${systems%, }}" --out "$exp/probe/decode_$1" \
        --title "Probes on $(basename "$PWD"), $1"
}

# answer MODEL DATA NAME OPTION...: let a model answer, into its decode_NAME.
answer() {
    map_models "$2" "$exp/$1/decode_$3/answer" c2ser.bin.decode --config "$(conf decode)" --model "$exp/$1" "${@:4}"
}

# labels FOLDER TABLE OPTION...: read the answers in a folder; what the speakers said is known from `said`.
labels() {
    py extract_labels --answers "$1/answer" --out "$1/$2" "${said[@]}" "${@:3}"
}

# judged FOLDER TABLE OPTION...: let the language model of --judge read them; on a card, if it runs here.
judged() {
    local options=(--answers "$1/answer" --out "$1/$2" "${said[@]}" --config "$(conf judge)" --reader "$judge" "${@:3}")
    begin "$1/$2" "$1/answer" "${options[@]}"
    if [ "$judge" = local ]; then
        on_card "$1/$2.log" extract_labels "${options[@]}"
    else
        py extract_labels "${options[@]}"
    fi
}

# compare NAME: both models and the probe on a test set, with intervals and the accuracy of each emotion (Figure 7).
compare() {
    local systems="" folder
    for model in explicit implicit probe; do
        folder=$exp/$model/decode_$1
        if [ -s "$folder/utt2emo" ]; then systems+="$(json "$model"): $(listed "$folder/utt2emo"), "; fi
    done
    py compare_systems --data "$(listed "data/$1")" --systems "{${systems%, }}" --baseline explicit --max-seconds 36000 \
        --out "$exp/comparison_$1" --title "Accuracy of each emotion on $(basename "$PWD"), $1"
}
