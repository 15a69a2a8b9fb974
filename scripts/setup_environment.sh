#!/bin/sh
# Makes the environment: PyTorch first (it decides whether gigabytes of CUDA come along), then the rest.
set -eu

"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "microexp needs Python 3.11 or newer; $PYTHON is $("$PYTHON" --version 2>&1). Try: make PYTHON=python3.12" >&2
    exit 1
}
[ -x "$VENV/bin/python" ] || "$PYTHON" -m venv "$VENV"
pip="$VENV/bin/python -m pip --disable-pip-version-check"
pin=$(grep '^torch==' constraints.txt)

if [ -n "${TORCH:-}" ]; then
    $pip install --quiet ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} "$TORCH"
elif ! "$VENV/bin/python" -c 'import torch' 2>/dev/null; then
    echo "Installing PyTorch ($pin; a CPU build if one is found) ..."
    $pip install --quiet ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} "$pin+cpu" 2>/dev/null ||
        $pip install --quiet ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} "$pin"
fi

echo "Installing the other packages ..."
$pip install --quiet --constraint constraints.txt uv
VIRTUAL_ENV="$VENV" "$VENV/bin/uv" pip install --quiet --constraint constraints.txt --editable '.[dev]' 2>/dev/null ||
    $pip install --quiet --constraint constraints.txt --editable '.[dev]'
echo "Ready: $VENV"
