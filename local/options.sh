# shellcheck shell=bash disable=SC2034
# The options that local/c2ser.sh and egs/c2ser/run.sh have in common; they source it before utils/parse_options.sh.
option_files=("${BASH_SOURCE[0]}")
stage=0             # first stage
stop_stage=9        # last stage
skip_stages=        # stages to pass over, separated by blanks, such as "4 5"
size=               # full|small|tiny: which models; if empty, full on a GPU of 40 GB or more, else small (see README)
exp=exp             # folder of everything that is trained or scored
emotion2vec=        # folder of a trained Emotion2Vec-S, or none for a C²SER without it; stage 4 is then skipped
encoder_config=     # YAML file with further settings of Emotion2Vec-S (stage 4); it wins over emotion2vec.yaml
explicit_config=    # YAML file with further settings of the explicit training (stage 6)
implicit_config=    # YAML file with further settings of what stage 7 trains
encoder_options=    # options of train_emotion2vec for stage 4, separated by blanks; write --encoder-options="…"
explicit_options=   # options of train_c2ser for stage 6, such as --explicit-options="--training.seed 1"
implicit_options=   # options of train_c2ser for stage 7
acoustic_arks=      # compute the acoustic vectors once, before stage 6, at this level (model.acoustic); else on the fly
nj=8                # parallel jobs on CPUs
decode_nj=1         # parallel jobs that decode or make embeddings, each with one GPU if --ngpu is not 0
ngpu=-1             # GPUs for training; 0 for none, -1 for one if this machine has one
accelerate_config=ddp  # how several GPUs share C²SER's training: ddp, fsdp2, or a configuration file of accelerate
cot_nj=             # parallel jobs that write chains of thought; as --nj if empty
cot_gpu=0           # GPUs of each of them, for "writer: local" in cot.yaml
judge=              # local|server|batch: in stage 9 the language model of judge.yaml reads the answers, too
perturb=            # changed copies of the test sets that stages 8 and 9 use, too, such as "noise20 gain-6 speed0.9"
wordings=0          # paraphrases of the instruction that stages 8 and 9 use, too, up to 10
max_rejected=10     # stop if more than this percentage of a set is rejected
declare -A replaced_options=(
    [train_options]="give --encoder-options, --explicit-options or --implicit-options"
)
