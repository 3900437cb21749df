# shellcheck shell=bash disable=SC2034,SC2154
# How jobs are run; source it. The default is this machine. local/site.sh, which git ignores, may set other values. A
# launcher is a file of utils/, named without the folder, whose path may hold blanks, and followed by its options.
cpu_cmd=run.py
gpu_cmd=run.py
# shellcheck disable=SC1091 # not there by default
if [ -f "$root/local/site.sh" ]; then . "$root/local/site.sh"; fi

# site_name CORPUS: the name of the setting in local/site.sh that says where a corpus lies.
site_name() {
    echo "root_${1//[^A-Za-z0-9]/_}"
}
