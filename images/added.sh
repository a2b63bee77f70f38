#!/bin/sh
# Copies what has come into a virtual environment since a list of its files was made:
#   added.sh FOLDER LIST TO
# A layer of an image that holds this alone is small, and all that lies below it stays as it was.
set -eu
export LC_ALL=C
mkdir "$3"
known=$(mktemp)
sort "$2" > "$known"
find "$1" -not -type d | sort | comm -23 - "$known" | tar --create --files-from=- | tar --extract --directory="$3"
rm "$known"
