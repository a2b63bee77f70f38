#!/bin/sh
# Reduces a very small night, so that every compiled loop lies in NUMBA_CACHE_DIR.
set -eu
here=$(dirname "$(realpath "$0")")
work=$(mktemp -d)
cd "$work"
export HOME="$work" GOZEN_ARCHIVE="$work/archive" GOZEN_INSTRUMENT="$here/camera.yaml" GOZEN_WORKERS=1
gozen simulate "$here/recipe.yaml" --night 20260115 --sensors 111
gozen masters
gozen run "$here/recipe.yaml"
gozen night append 20260115
rm -rf "$work"
