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
constraints="$VENV/constraints.txt"
installed=$("$VENV/bin/python" -c 'import torch; print("torch==" + torch.__version__.split("+")[0])' 2>/dev/null || true)

if [ -n "${TORCH:-}" ]; then
    echo "Installing $TORCH ..."
    $pip install --quiet ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} "$TORCH"
    grep -v '^torch==' constraints.txt >"$constraints" # the user's choice stands
else
    if [ "$installed" != "$pin" ]; then
        echo "Installing PyTorch ($pin; a CPU build if one is found) ..."
        $pip install --quiet ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} "$pin+cpu" 2>/dev/null ||
            $pip install --quiet ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} "$pin"
    fi
    cp constraints.txt "$constraints"
fi

echo "Installing the other packages ..."
$pip install --quiet --constraint "$constraints" uv
VIRTUAL_ENV="$VENV" "$VENV/bin/uv" pip install --quiet --constraint "$constraints" --editable '.[dev]' 2>/dev/null ||
    $pip install --quiet --constraint "$constraints" --editable '.[dev]'
echo "Ready: $VENV"
