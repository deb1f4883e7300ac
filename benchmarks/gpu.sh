#!/usr/bin/env bash
# Check the project on a machine with a CUDA GPU, and measure it there; meant to take eight minutes at most.
#
#   benchmarks/gpu.sh pack    where there is a network: put images and wheels for the other machine into .gpu/, 64 MB at most
#   benchmarks/gpu.sh         there, in a copy of this folder with its .gpu/: needs Python 3.12, torch and numpy
#
# Writes the sections "On a GPU" of benchmarks/results.md. With DESCENT_DEVICE=cpu it runs without a GPU and prints them.
set -euo pipefail
cd "$(dirname "$0")/.."
packages='annotated-types beartype hypothesis iniconfig jaxtyping packaging pandas pathspec pluggy pydantic pydantic-core pygments
    pytest python-dateutil ruamel-yaml safetensors six sortedcontainers tabulate threadpoolctl tqdm typing-extensions
    typing-inspection wadler-lindig'

if [ "${1:-}" = pack ]; then
    ls "${DESCENT_MIRROR:?the folder with the four published files}"/*.gz >/dev/null
    mkdir -p .gpu
    for package in $packages; do grep "^$package==" constraints.txt; done > .gpu/requirements.txt
    python3 -m pip download --quiet --dest .gpu --requirement .gpu/requirements.txt --no-deps --only-binary :all: \
        --python-version 3.12 --platform manylinux_2_28_x86_64 --platform manylinux2014_x86_64 --platform any
    cp "$DESCENT_MIRROR"/*.gz .gpu/
    du --summarize --human-readable .gpu
    exit
fi

ls .gpu/*.whl >/dev/null 2>&1 || { echo 'benchmarks/gpu.sh: no wheels in .gpu/; `benchmarks/gpu.sh pack` puts them there' >&2; exit 1; }
export DESCENT_DEVICE=${DESCENT_DEVICE:-cuda} PYTHONPATH=src:.gpu/site
python3 -m pip install --quiet --no-index --no-deps --upgrade --target .gpu/site .gpu/*.whl
failed=0  # a failed test does not stop the measurements
python3 -m pytest --quiet -p no:cacheprovider tests/training tests/models tests/attacks/test_norms.py tests/studies/test_stacked.py ||
    failed=$?
python3 -m benchmarks.gpu
exit "$failed"
