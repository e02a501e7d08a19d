#!/usr/bin/env bash
# Builds the stand-ins for NVIDIA's libraries into a folder: `LLMC_CUDA_LIBS=FOLDER llmc run RECIPE --device cuda` then runs
# every kernel on the processor. Needs a C++ compiler.
#   usage: tests/cuda_shim/build.sh FOLDER [without-cublaslt]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
folder=$1
mkdir -p "$folder"
build() { # file, library
  c++ -std=c++17 -O2 -shared -fPIC -Wall "-DSHIM_SOURCE=\"$here\"" "-Wl,-soname,$2" -o "$folder/$2" "$here/$1"
}
build cuda.cpp libcuda.so.1
build nvrtc.cpp libnvrtc.so.13
if [ "${2:-}" != without-cublaslt ]; then build cublaslt.cpp libcublasLt.so.13; fi
