#!/usr/bin/env bash
# The paper's questions on one corpus: what do the explicit stage, Emotion2Vec-S and Whisper add, is the implicit answer
# better than the explicit one, and does the model hear or guess? Each kind of model is tested on the whole corpus by
# local/cross_validate.sh, whose options follow after --; the whole C²SER is what the others are compared with.
#     cd egs/<corpus> && ../../local/claims.sh [--kinds "…"] -- --db-root DIR [--seeds "1 2 3"] [--perturb "noise20"] …
# A run that was killed goes on where it stopped when it is called again.
set -euo pipefail
kinds="c2ser without_cot without_emotion2vec without_whisper"  # kinds of models, the first is compared with
root=$(CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$root/utils/parse_options.sh"
. "$root/utils/stage.sh"

# options_of KIND: set `options` to what makes a kind of model of the recipe's own.
options_of() {
    case $1 in
        c2ser) options=() ;;
        without_cot) options=(--cot false) ;;
        without_emotion2vec) options=(--emotion2vec none) ;;
        without_whisper) options=("--explicit-options=--model.whisper null") ;;
        *) die "--kinds: there is no $1; choose c2ser, without_cot, without_emotion2vec or without_whisper" ;;
    esac
}

read -ra kind_list <<< "$kinds"
[ ${#kind_list[@]} -gt 0 ] || die "--kinds: none is given; leave the option out"
for kind in "${kind_list[@]}"; do options_of "$kind"; done
for kind in "${kind_list[@]}"; do
    options_of "$kind"
    log "claims: $kind"
    "$root/local/cross_validate.sh" "$@" --name "$kind" --compare-with "${kind_list[0]} implicit" "${options[@]}"
done
