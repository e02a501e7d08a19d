#!/usr/bin/env bash
# Every kernel of every recipe through NVIDIA's own compiler, for Ampere, Hopper and Blackwell; spills are errors. Needs no
# card: two packages of PyPI (92 MB) bring the compiler. Without a network it says so and succeeds.
#   usage: tests/nvrtc.sh [FOLDER for the packages]
set -euo pipefail
cd "$(dirname "$0")/.."
folder=${1:-target/nvrtc}
if ! ls "$folder"/lib/python3*/site-packages/nvidia/*/lib/libnvrtc.so.* >/dev/null 2>&1; then
  if ! { python3 -m venv "$folder" &&
    "$folder/bin/pip" install -q --no-deps nvidia-cuda-nvrtc==13.0.88 nvidia-cuda-runtime==13.0.96; }; then
    echo "skipped: NVIDIA's compiler cannot be had from PyPI here"
    exit 0
  fi
fi
libraries=$(cd "$(dirname "$(ls "$folder"/lib/python3*/site-packages/nvidia/*/lib/libnvrtc.so.* | head -n 1)")" && pwd)
LLMC_NVRTC_LIBS=$libraries cargo test --release --locked -p llmc --test integration -- --nocapture nvidias_compiler
