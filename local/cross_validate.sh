#!/usr/bin/env bash
# Test C²SER on a whole corpus: each group of its folds is tested on by a model that has trained on the other groups, once
# for each seed; the answers are put together and scored as those of one test set.
#     cd egs/<corpus> && ../../local/cross_validate.sh [--groups N] [--seeds "1 2 3"] [--name NAME] [options of run.sh]
# Under another --name another kind of model is tested in the same way and compared with those that are there. A run that
# was killed goes on where it stopped when it is called again with the same options. Machines or cards that share the folder
# may each train some groups, with --only-groups; when they have ended, the same call without it puts all together.
set -euo pipefail
db_root=            # folder of the corpus
labels=seven        # see run.sh
folds=speaker       # published|speaker|session: what is never divided
groups=5            # so many models, each tested on one group, with the weights that are best on the next group
only_groups=        # train and test these groups alone, such as "1 2", and put nothing together
seeds="1 2 3"       # seeds of the trainings, separated by blanks
name=c2ser          # what the tables call this kind of model
compare_with=       # the kind of model, one of earlier calls, that the others are compared with
sets="train valid test" # the recipe's data directories, which are joined and divided anew
cot=true            # true|false: see run.sh
augment=            # see run.sh; what is tested and validated on stays as it was recorded
baselines=          # see run.sh
root=$(CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$root/local/cmd.sh"
. "$root/local/options.sh"
. "$root/utils/parse_options.sh"
[ $# = 0 ] || { printf '%s: %s: not an option; see --help\n' "${0##*/}" "$1" >&2; exit 2; }
. "$root/utils/stage.sh"
. "$root/utils/tables.sh"
. "$root/local/path.sh"
. "$root/local/functions.sh"

[ -x run.sh ] || die "run.sh is not here; call this from the folder of a recipe, as in: cd egs/emodb"
check_numbers --seeds "$seeds"
check_numbers --only-groups "${only_groups:-1}"
[ "$groups" -ge 3 ] || die "--groups: $groups are too few; one tests, one validates, and at least one trains"
[[ $name =~ ^[A-Za-z][A-Za-z0-9_.]*$ ]] || die "--name: '$name' cannot be a folder's name; use letters, digits, _ and ."
read -ra group_list <<< "${only_groups:-$(seq -s ' ' "$groups")}"
for group in "${group_list[@]}"; do
    [ "$group" -ge 1 ] && [ "$group" -le "$groups" ] || die "--only-groups: there is no group $group; choose from 1 to $groups"
done
read -ra set_list <<< "$sets"
read -ra seed_list <<< "$seeds"
read -ra copies <<< "$augment"
pooled=$exp/folds/all

# recipe STAGE STOP_STAGE OPTION...: stages of the recipe, with the options that were given here.
recipe() {
    ./run.sh --labels "$labels" --cot "$cot" --baselines "$baselines" "${shared_options[@]}" \
        --stage "$1" --stop-stage "$2" "${@:3}"
}

# deal_folds: list "fold group" for each fold; the largest fold goes first, each into the group that is the smallest then.
deal_folds() {
    awk '{ print $2 }' data/folds/utt2fold | sort | uniq -c | sort -k1,1nr -k2,2 | awk -v groups="$groups" '
        { smallest = 1
          for (g = 2; g <= groups; g++) if (size[g] + 0 < size[smallest] + 0) smallest = g
          size[smallest] += $1
          print $2, smallest }'
}

# divide_data GROUP PART: write data/fold<GROUP>_<PART>, where PART is train, valid or test.
divide_data() {
    local list=data/folds/$2.list
    awk -v test="$1" -v valid=$(($1 % groups + 1)) -v wanted="$2" '
        FILENAME == ARGV[1] { group[$1 ""] = $2; next }
        { part = group[$2 ""] == test ? "test" : group[$2 ""] == valid ? "valid" : "train" }
        part == wanted { print $1 }' data/folds/groups.new data/folds/utt2fold > "$list"
    subset_data_dir.sh --utt-list "$list" data/folds "data/fold$1_$2"
    rm "$list"
}

# prepare_groups: data/folds, which is everything, and the three sets of each group.
prepare_groups() {
    local group part
    recipe 0 1 --db-root "$db_root" --folds "$folds"
    combine_data.sh data/folds "${set_list[@]/#/data/}"
    need data/folds/utt2fold 0
    deal_folds > data/folds/groups.new
    [ "$(awk '{ print $2 }' data/folds/groups.new | sort -u | wc -l)" = "$groups" ] ||
        die "--groups: $groups are more than the folds, which are $(wc -l < data/folds/groups.new); give no more"
    for ((group = 1; group <= groups; group++)); do
        for part in train valid test; do divide_data "$group" "$part"; done
    done
    mv data/folds/groups.new data/folds/groups
}

# change_folds: a changed copy of everything for each change of --augment, with its attributes.
change_folds() {
    change_copies data/folds
    recipe 1 1 --train-set folds --valid-set folds --test-sets "${copies[*]/#/folds-}"
}

# augment_group GROUP: join the group's training set with its part of the changed copies.
augment_group() {
    local change train=data/fold$1_train
    for change in "${copies[@]}"; do
        subset_data_dir.sh --utt-list "$train/wav.scp" "data/folds-$change" "$train-$change"
    done
    join_copies "$train"
}

# run_group GROUP STAGE STOP_STAGE OPTION...: stages of the recipe for one group.
run_group() {
    recipe "$2" "$3" --train-set "fold$1_train" --augment "$augment" --valid-set "fold$1_valid" --test-sets "fold$1_test" \
        --exp "$exp/folds/$1" "${@:4}"
}

# train_and_answer GROUP SEED: a model that has not heard the group, and its answers for it.
train_and_answer() {
    run_group "$1" 4 8 --tag "$name-$2" --explicit-options="$explicit_options --training.seed $2" \
        --implicit-options="$implicit_options --training.seed $2"
}

# pool TABLE OUT: join a table that each group has, whose path holds {} for the group.
pool() {
    local group parts=()
    for ((group = 1; group <= groups; group++)); do parts+=("${1//\{\}/$group}"); done
    mkdir -p "$(dirname "$2")"
    sort -k1,1 "${parts[@]}" > "$2.new"
    mv "$2.new" "$2"
}

# pool_answers RUN MODEL: join the answers of all groups, those for changed copies and for other wordings too.
pool_answers() {
    local folder=$exp/folds/1/$1/$2 table variant
    for variant in "$folder"/decode_fold1_test*; do
        variant=${variant#"$folder/decode_fold1_test"}
        for table in answer utt2prob utt2ms; do
            [ -s "$folder/decode_fold1_test$variant/$table" ] || continue
            pool "$exp/folds/{}/$1/$2/decode_fold{}_test$variant/$table" "$pooled/$1/$2/decode_folds$variant/$table"
        done
        copy_classes data/folds "$pooled/$1/$2/decode_folds$variant"
    done
}

# score_seed SEED: score the answers of all groups together.
score_seed() {
    local run=$name-$1 model
    for model in "$exp/folds/1/$run"/*/decode_fold1_test; do
        pool_answers "$run" "$(basename "$(dirname "$model")")"
    done
    run_once "$pooled/done/$run" "$pooled/$run"/*/decode_folds*/answer -- \
        recipe 9 9 --test-sets folds --exp "$pooled" --tag "$run"
}

# compare_kinds: each kind of model over its seeds, with intervals.
compare_kinds() {
    local folder kind systems="" options=()
    declare -A runs=()
    for folder in "$pooled"/*/*/decode_folds/utt2emo; do
        folder=${folder%/decode_folds/utt2emo}
        kind=$(basename "$(dirname "$folder")")
        runs["${kind%-*} $(basename "$folder")"]+="$(json "$folder/decode_folds/utt2emo"),"
    done
    while IFS= read -r kind; do
        systems+="$(json "$kind"): [${runs[$kind]%,}], "
    done < <(printf '%s\n' "${!runs[@]}" | sort)
    if [ -n "$compare_with" ]; then options=(--baseline "$compare_with"); fi
    py compare_systems --data "$(listed data/folds)" --systems "{${systems%, }}" --out "$pooled/comparison" \
        --title "$(basename "$PWD"), $groups groups of folds" --max-seconds 36000 "${options[@]}"
}

# prepare_folds: what all groups need; a call beside this one waits until it is there.
prepare_folds() {
    mkdir -p data
    exec 9> data/.folds.lock
    flock 9
    [ -s data/folds/groups ] || prepare_groups
    [ "$(awk '{ print $2 }' data/folds/groups | sort -u | wc -l)" = "$groups" ] ||
        die "--groups: data/folds has another number of groups; remove it or name another number"
    [ -z "$augment" ] || run_once "$pooled/done/copies" data/folds/wav.scp "$augment" -- change_folds
    exec 9>&-
}

# prepare_group GROUP: its changed copies, levels and chains of thought.
prepare_group() {
    [ -z "$augment" ] ||
        run_once "$pooled/done/augmented-$1" "data/fold$1_train/wav.scp" "$augment" -- augment_group "$1"
    run_once "$pooled/done/levels-$1" "data/fold$1"_{train,valid,test}/wav.scp "$augment" -- run_group "$1" 2 3
}

# answer_seed SEED: train a model for each group, and let it answer.
answer_seed() {
    local group
    for group in "${group_list[@]}"; do
        log "seed $1, group $group of $groups: $exp/folds/$group/$name-$1"
        run_once "$pooled/done/$name-$1-$group" "data/fold$group"_{train,valid,test}/wav.scp \
            "$cot" "$augment" "$baselines" "${shared_options[@]}" -- train_and_answer "$group" "$1"
    done
}

prepare_folds
for group in "${group_list[@]}"; do prepare_group "$group"; done
if [ -z "$only_groups" ] && [ -s data/fold1_test/utt2level ]; then pool "data/fold{}_test/utt2level" data/folds/utt2level; fi
for seed in "${seed_list[@]}"; do
    answer_seed "$seed"
    [ -z "$only_groups" ] || continue
    score_seed "$seed"
    compare_kinds
done
