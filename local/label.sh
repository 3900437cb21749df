#!/usr/bin/env bash
# From speech without labels to labels, as the paper made its internal corpus and Emo-Emilia (sections IV.A, IV.B). Call it
# through a recipe whose local/data_prep.py writes data/shards and a data directory for each shard:
#     cd egs/<corpus> && ./label.sh [--stage N] [--stop-stage N] [options]
# Stages 1 and 2 run all shards in one job array; docs/scaling.md says how to choose its size.
# A run that was killed goes on where it stopped when it is called again with the same options and --stage. Stages 5 and 6
# are for a test set; data/agreed of stage 3 is what a training set needs.
set -euo pipefail
stage=0            # first stage
stop_stage=5       # last stage
skip_stages=       # stages to pass over, separated by blanks
db_root=           # folder of the corpus
speech_model=      # checkpoint of emotion2vec+ large
reader=local       # local|server|batch: how the language model of conf/label_text.yaml is reached
minimum=0.0        # probability that the sound's label must have
candidates=300     # utterances of each emotion and language that experts see
kept=100           # utterances of each emotion and language in the final set, at most
experts=           # files that the experts' pages saved, separated by blanks
train_sets=        # data directories that the final set is compared with, separated by blanks
prep_nj=1          # parallel jobs of stage 0
nj=0               # jobs into which the shards are divided; 0 for one each
max_jobs=0         # jobs at once, at most; 0 for as many as there are GPUs, or as the cluster allows
ngpu=1             # GPUs for each job that labels; 0 for none
root=$(CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$root/local/cmd.sh"
. "$root/utils/parse_options.sh"
[ $# = 0 ] || { printf '%s: %s: not an option; see --help\n' "${0##*/}" "$1" >&2; exit 2; }
. "$root/utils/stage.sh"
. "$root/local/path.sh"
check_numbers --skip-stages "${skip_stages:-0}"

# run_map GPUS TABLE ENTRY_POINT OPTION...: make a table of all shards that lack it, in jobs with so many GPUs each.
run_map() {
    local cmd=$cpu_cmd
    [ "$1" = 0 ] || cmd="$gpu_cmd --gpu $1"
    [ "$max_jobs" = 0 ] || cmd+=" --max-jobs $max_jobs"
    map_shards.sh --nj "$nj" --cmd "$cmd" --max-rejected 100 data "$2" python -m "${@:3}"
}

if stage 0 "data: describe the corpus, shard by shard"; then
    site_root=$(site_name "$(basename "$PWD")")
    db_root=${db_root:-${!site_root-}}
    [ -n "$db_root" ] || die "the corpus is needed; give its folder with --db-root, or set $site_root in local/site.sh"
    if [ "$prep_nj" -gt 1 ]; then
        read_launcher "$cpu_cmd"
        "${launcher[@]}" "JOB=1:$prep_nj" data/log/data.JOB.log \
            python local/data_prep.py --db-root "$db_root" --out data --part JOB --parts "$prep_nj"
    else
        python local/data_prep.py --db-root "$db_root" --out data
    fi
fi
shards=()
[ ! -s data/shards ] || mapfile -t shards < data/shards

if stage 1 "speech: what the sound says"; then
    need data/shards 0
    [ -n "$speech_model" ] || die "emotion2vec+ is needed; give its checkpoint with --speech-model"
    run_map "$ngpu" utt2speech c2ser.bin.label_speech --model "$speech_model"
fi

if stage 2 "text: what the words say"; then
    need data/shards 0
    configs=(--config "$root/local/conf/label_text.yaml")
    [ ! -f conf/label_text.yaml ] || configs+=(--config conf/label_text.yaml)
    gpus=0
    [ "$reader" != local ] || gpus=$ngpu # only then does the model run here
    run_map "$gpus" utt2words c2ser.bin.label_text "${configs[@]}" --reader "$reader"
fi

if stage 3 "agree: keep what both say alike"; then
    need data/shards 0
    rm -rf data/agreed.parts
    agreed=()
    for shard in "${shards[@]}"; do
        # without a good utterance a table is empty, but there
        [ -e "data/$shard/utt2speech" ] || need "data/$shard/utt2speech" 1
        [ -e "data/$shard/utt2words" ] || need "data/$shard/utt2words" 2
        py combine_labels --data "data/$shard" --speech "data/$shard/utt2speech" --text "data/$shard/utt2words" \
            --out "data/agreed.parts/$shard" --minimum "$minimum"
        [ ! -e "data/agreed.parts/$shard" ] || agreed+=("data/agreed.parts/$shard")
    done
    [ ${#agreed[@]} -gt 0 ] || die "sound and words agree nowhere; lower --minimum, or look at data/*/utt2speech and utt2words"
    combine_data.sh data/agreed "${agreed[@]}"
fi

if stage 4 "sample: as many utterances of each emotion and language"; then
    need data/agreed/utt2emo 3
    py sample_data --data data/agreed --out data/candidates --number "$candidates"
fi

if stage 5 "page: for experts to label the sample"; then
    need data/candidates/wav.scp 4
    py make_annotation_page --data data/candidates --out exp/page --title "$(basename "$PWD")"
    log "send exp/page to each expert; then run stage 6 with --experts"
fi

if stage 6 "collect: what all experts say alike, balanced"; then
    need data/candidates/wav.scp 4
    read -ra files <<< "$experts"
    [ ${#files[@]} -gt 0 ] || die "the experts' files are needed; give them with --experts"
    py collect_annotations --data data/candidates --experts "$(listed "${files[@]}")" --out data/unanimous
    py sample_data --data data/unanimous --out data/final --number "$kept"
    read -ra train_list <<< "$train_sets"
    if [ ${#train_list[@]} -gt 0 ]; then
        py check_overlap --data data/final --train "$(listed "${train_list[@]}")" --out data/final/overlap.json
    fi
fi

finish
