# shellcheck shell=bash
# Functions on the tables of data directories; source it. Ids are compared as bytes, values are never looked at.

export LC_ALL=C

# tables_of DIR: the names of the tables in a data directory that have a line for each utterance.
tables_of() {
    local path name
    for path in "$1"/*; do
        name=${path##*/}
        case $name in
            *.rejected | *.partial | *.parts | *.new | *.json) ;;
            wav.scp | text | utt2* | cot_*) if [ -f "$path" ]; then printf '%s\n' "$name"; fi ;;
        esac
    done
}

# is_text FILE: whether it is UTF-8 without NULs, which other programs leave out of lines or take for their end.
is_text() {
    iconv -f UTF-8 -t UTF-8 "$1" > /dev/null 2>&1 && [ "$(tr -dc '\0' < "$1" | wc -c)" -eq 0 ]
}

# keys FILE...: the first word of every line.
keys() {
    awk '{ print $1 }' "$@"
}

# filter IDS TABLE: the lines of a table whose utterance stands in the file IDS.
filter() {
    awk 'FILENAME == ARGV[1] { wanted[$1]; next } $1 in wanted' "$1" "$2"
}

# deal PLACES TABLE NAME: put each line of a table into the file NAME of the folder that a line `<utterance> <folder>` of
# the file PLACES gives to its utterance. Nobody's lines are left aside, and a folder that gets no line gets no file.
deal() {
    local folder
    cut -d ' ' -f 2- "$1" | uniq | while IFS= read -r folder; do rm -f "$folder/.$3.new" "$folder/$3"; done
    name=$3 awk '
        FILENAME == ARGV[1] { i = index($0, " "); place = substr($0, i + 1)
                              if (place != last) { folders[++n] = place; last = place }
                              of[substr($0, 1, i - 1)] = n; next }
        $1 in of { if (of[$1] != now) { close(file); now = of[$1]; file = folders[now] "/." ENVIRON["name"] ".new" }
                   print >> file }' "$1" "$2"
    cut -d ' ' -f 2- "$1" | uniq | while IFS= read -r folder; do
        if [ -e "$folder/.$3.new" ]; then mv "$folder/.$3.new" "$folder/$3"; fi
    done
}

# make_spk2utt DIR: write spk2utt from utt2spk.
make_spk2utt() {
    "${BASH_SOURCE[0]%/*}/utt2spk_to_spk2utt.sh" "$1/utt2spk" > "$1/.spk2utt.new"
    mv "$1/.spk2utt.new" "$1/spk2utt"
}

# drop_others DIR: remove the tables of a data directory that are not named in standard input; they are of other utterances.
drop_others() {
    local name
    comm -23 <(tables_of "$1" | sort) <(sort -u) | while IFS= read -r name; do rm "$1/$name"; done
}

# classes_of DIR: the file with the classes of a data directory; an empty one for the seven emotions.
classes_of() {
    if [ -f "$1/labels.json" ]; then echo "$1/labels.json"; else echo /dev/null; fi
}

# copy_classes SOURCE DEST: give a data directory the classes of another one; those of the seven emotions have no file.
copy_classes() {
    rm -f "$2/labels.json"
    if [ -f "$1/labels.json" ]; then cp "$1/labels.json" "$2/labels.json"; fi
}

# copy_subset IDS SOURCE DEST: write a data directory with the utterances of the file IDS.
copy_subset() {
    local name
    mkdir -p "$3"
    tables_of "$2" | drop_others "$3"
    while IFS= read -r name; do
        filter "$1" "$2/$name" > "$3/.$name.new"
        if [ -s "$3/.$name.new" ]; then mv "$3/.$name.new" "$3/$name"; else rm -f "$3/.$name.new" "$3/$name"; fi
    done < <(tables_of "$2")
    copy_classes "$2" "$3"
    if [ -f "$3/utt2spk" ]; then make_spk2utt "$3"; fi
}
