#!/usr/bin/env bash
# Makes .venv and installs the project with everything that its demo and tests need.
#
# Ends within a second if .venv already fits: a stamp in it holds a checksum of pyproject.toml and of the folder's own
# path (an environment does not survive a move). A .venv that is broken or was cut off is made again.
# PYTHON=/path/to/python chooses the interpreter; otherwise the first of python3.11, 3.12, 3.13, 3.10 and python3 that
# works and can make an environment is taken.
set -eu
cd "$(dirname "$0")/.."

readonly environment=.venv stamp=.venv/deferredseg-installed
readonly extras="engine,train,cpu,export,slicer,test"

say() { printf '%s\n' "$*" >&2; }
fail() { say "error: $*"; exit 1; }

fingerprint() {
    { cat pyproject.toml scripts/install.sh; pwd -P; } | cksum
}

is_python() { # a Python of the right age that really starts and can make environments
    "$1" -c 'import sys, venv, ensurepip; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1
}

find_python() {
    local candidate
    for candidate in ${PYTHON:+"$PYTHON"} python3.11 python3.12 python3.13 python3.10 python3; do
        if is_python "$candidate"; then printf '%s\n' "$candidate"; return; fi
    done
    fail "no Python 3.10 to 3.13 that can make virtual environments was found; install one" \
        "(on Debian and Ubuntu: apt install python3 python3-venv) or name it with PYTHON=/path/to/python"
}

works() { "$environment/bin/python" -m pip --version >/dev/null 2>&1; }

imports() {
    "$environment/bin/python" - <<'END'
import importlib.util
import DeferredSegSlicerLib, SimpleITK, matplotlib, numpy, pytest, rich, torch, torchvision, typer
missing = [name for name in ("monai", "segment_anything", "timm", "safetensors") if not importlib.util.find_spec(name)]
raise SystemExit(f"not installed: {', '.join(missing)}" if missing else 0)
END
}

install() { # on a terminal pip shows what it downloads; in a log it keeps quiet
    local quiet=--quiet
    [ ! -t 2 ] || quiet=--progress-bar=on
    "$environment/bin/python" -m pip install "$quiet" --disable-pip-version-check --no-input --editable ".[$extras]" >&2
}

make_environment() {
    local python
    python=$(find_python)
    rm -rf "$environment"
    say "making .venv with $("$python" --version 2>&1)"
    "$python" -m venv "$environment" || fail "\"$python -m venv .venv\" did not work; see the lines above"
}

if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$(fingerprint)" ] && works; then
    exit 0
fi
[ -w . ] || fail "this folder is not writable for $(id -un); the environment .venv has to be made in it"
[ ! -e "$environment" ] || [ -w "$environment" ] || fail ".venv belongs to another user; remove it (make clean) as that user"

if command -v flock >/dev/null; then # two runs at a time would install over each other
    exec 9>.venv-lock
    flock 9
    if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$(fingerprint)" ] && works; then exit 0; fi
fi

rm -f "$stamp"
works || make_environment
say "installing into .venv: about 4 minutes and 7 GB the first time (PyTorch with its GPU libraries)"
if ! { install && imports; }; then
    say "the first try did not work; making .venv afresh"
    make_environment
    install || fail "pip could not install the packages; is there a network connection to the package registry, and space on the disk?"
    imports || fail "the packages were installed but do not start; see the lines above"
fi
fingerprint >"$stamp"
say "installed"
