#!/bin/sh
# Takes out of a virtual environment what no program of an image reads, and makes its bytes those of its content:
#   slim.sh FOLDER [LIST]     with a list of files: leaves those as they are
set -eu
export LC_ALL=C
lib=$(echo "$1"/lib/python3*/site-packages)
# Tests of libraries; astropy imports its own.
find "$lib" -type d -name tests -not -path '*/astropy/*' -prune -exec rm -rf {} +
rm -rf "$lib"/pyarrow/include "$lib"/numpy/_core/include
# The second client of Kubernetes, for asyncio.
rm -rf "$lib"/kubernetes/aio
# Amazon has four hundred services; an archive needs one, and the ways to credentials.
find "$lib/botocore/data" -mindepth 1 -maxdepth 1 -type d \
  -not -name s3 -not -name sts -not -name sso -not -name sso-oidc -not -name signin -exec rm -rf {} +
known=$(mktemp) sources=$(mktemp)
sort "${2:-/dev/null}" > "$known"
find "$lib" -name '*.py' | sort | comm -23 - "$known" > "$sources"
xargs touch -d @315532800 < "$sources"
"$1"/bin/python -m compileall -q -f --invalidation-mode unchecked-hash -i "$sources" || true
rm "$known" "$sources"
