#!/usr/bin/env bash
# All that a machine with an NVIDIA card can tell, in eight minutes; the first two already say whether it computes right.
# Needs the binary (carried there: no Rust, no network), python3, and for the comparison a PyTorch that is there already.
#   usage: tests/gpu.sh LLMC_BINARY [OUT]      writes OUT/gpu.json and OUT/gpu.md (default: gpu-report)
set -euo pipefail
cd "$(dirname "$0")/.."
exec python3 tests/gpu.py "$(realpath "${1:?usage: tests/gpu.sh LLMC_BINARY [OUT]}")" "${2:-gpu-report}"
