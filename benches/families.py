#!/usr/bin/env python3
"""Times every architecture family against Llama at equal FLOPs, interleaved in one run.

    python3 benches/families.py                           # the stages of recipes/bench/families.recipe
    python3 benches/families.py --stages t5,xlnet --rounds 9 --llmc target/release/llmc

One process for each stage `time_NAME` is started and warmed up; then every round gives each of them a turn of a few steps. Prints a
Markdown table: seconds for each FLOP of a step (matrix products and attention) as a multiple of Llama's, medians over the
rounds. Needs Python 3.9 or later.
"""

import argparse
import os
import re
import statistics

from pytorch import ROOT, Worker, llmc_binary, say

RECIPE = ROOT / "recipes" / "bench" / "families.recipe"
BASE = "llama"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stages", help="comma-separated names without `time_` (default: all)")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--llmc", help="binary (default: built with cargo)")
    options = parser.parse_args()
    llmc = llmc_binary(options)
    stages = re.findall(r"^stage time_(\w+)", RECIPE.read_text(), re.M)
    if options.stages:
        stages = [BASE] + [name for name in options.stages.split(",") if name != BASE]
    command = [llmc, "bench", RECIPE, "--serve", "--threads", str(options.threads), "--stage"]
    workers = [Worker(name, [*command, f"time_{name}"]) for name in stages]
    for worker in workers:
        worker.calibrate()
    for index in range(options.rounds):
        say(f"round {index + 1} of {options.rounds}")
        for worker in workers:
            worker.turn()
    rates = {worker.name: worker.rates for worker in workers}
    flops = {worker.name: worker.finish()["flops_per_step"] for worker in workers}
    print("| family | GFLOP a step | ms a step | time at equal FLOPs / Llama's |\n| --- | --- | --- | --- |")
    for name in stages:
        # FLOPs a second: Llama's over the family's.
        ratio = statistics.median(
            base * flops[BASE] / (own * flops[name]) for base, own in zip(rates[BASE], rates[name])
        )
        milliseconds = 1000 / statistics.median(rates[name])
        print(f"| {name} | {flops[name] / 1e9:.0f} | {milliseconds:.0f} | {ratio:.2f} |")


if __name__ == "__main__":
    main()
