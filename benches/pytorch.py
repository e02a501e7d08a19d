#!/usr/bin/env python3
"""Times llmc side by side with PyTorch: same model, batch, precision and optimizer, interleaved in one run.

    python3 benches/pytorch.py                       # all presets; makes a virtual environment with PyTorch from PyPI
    python3 benches/pytorch.py --presets b,d --rounds 9
    python3 benches/pytorch.py --python /path/to/python   # an interpreter that has torch already

For each preset (recipes/bench/NAME.recipe) one llmc and one PyTorch process for each mode are started and warmed up; then
every round gives each of them a turn of a few steps while the others wait, so that whatever else the machine does hits
all alike. Prints a Markdown table: medians over the rounds, ratios taken round by round. Needs Python 3.9 or later;
torch.compile also needs a C++ compiler.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PEER = Path(__file__).resolve().parent / "pytorch_peer.py"
# A turn is as many steps as fit into this, at least one.
TURN_SECONDS = 0.5
# The threads of a process that has had its turn wait awake for a while before they sleep.
PAUSE_SECONDS = 0.4


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--presets", default="a,b,c,d,e", help="comma-separated names, or paths of recipes")
    parser.add_argument("--modes", default="eager,compile", help="of PyTorch: eager, compile, or both")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--python", help="interpreter with torch (default: the one in --venv)")
    parser.add_argument("--venv", default=ROOT / "target" / "pytorch", type=Path, help="made if it is not there")
    parser.add_argument("--llmc", help="binary (default: built with cargo)")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--precision", default="f32", choices=["f32", "tf32", "bf16"], help="of both, on a card (bf16: PyTorch under autocast)")
    parser.add_argument("--no-clip", action="store_true", help="PyTorch does not clip the gradient norm")
    parser.add_argument("--json", type=Path, help="also write everything that was measured to this file")
    return parser.parse_args()


def python_with_torch(options):
    if options.python:
        return options.python
    python = options.venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not python.exists():
        say(f"making {options.venv} with PyTorch from PyPI")
        subprocess.run([sys.executable, "-m", "venv", options.venv], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "torch", "numpy", "setuptools"], check=True)
    return str(python)


def llmc_binary(options):
    if options.llmc:
        return options.llmc
    subprocess.run(["cargo", "build", "--release", "--locked", "--package", "llmc"], cwd=ROOT, check=True)
    return str(Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release" / "llmc")


def shape_of(llmc, recipe):
    """What PyTorch must build to do the same, from the checked plan."""
    plan = subprocess.run([llmc, "emit", str(recipe), "--after", "plan"], check=True, capture_output=True, text=True)
    text = plan.stdout

    def field(name, pattern=r"\S+"):
        found = re.search(rf"^\s*{name}: ({pattern})$", text, re.M)
        return found and found.group(1)

    model = re.search(r"^  model:\n    name: (\w+)\n    arguments:\n((?:      .*\n)*)", text, re.M)
    shape = {key: value for key, value in re.findall(r"^      (\w+): '([^']*)'$", model.group(2), re.M)}
    betas = re.search(r"betas:\n\s*- (\S+)\n\s*- (\S+)", text)
    if field("accumulation") != "1" or model.group(1) not in ("gpt2", "llama"):
        sys.exit(f"{recipe}: only gpt2 and llama of std, one micro-batch a step")
    clip = field("clip_norm")
    return {
        "family": model.group(1),
        **{name: int(shape[name]) for name in ("vocab", "width", "depth", "heads", "hidden")},
        "kv_heads": int(shape.get("kv_heads", shape["heads"])),
        "eps": float(shape["eps"]),
        "theta": float(shape.get("theta", 1e4)),
        "tied": shape.get("tied", "true") == "true",
        "rows": int(field("micro_batch")),
        "length": int(field("sequence_length")),
        "learning_rate": float(field("learning_rate")),
        "betas": [float(beta) for beta in betas.groups()],
        "weight_decay": float(field("weight_decay")),
        "clip_norm": None if clip in (None, "null") else float(clip),
    }


class Worker:
    """A process that answers each line `N` with the seconds of N steps."""

    def __init__(self, name, command):
        self.name, self.rates, self.steps_of_a_turn = name, [], 1
        self.process = subprocess.Popen(
            [str(part) for part in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        if "ready" not in self.answer():
            sys.exit(f"{name} did not get ready")

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"{self.name} ended early")
        return json.loads(line)

    def steps(self, count):
        self.process.stdin.write(f"{count}\n")
        self.process.stdin.flush()
        return self.answer()["steps"]

    def calibrate(self):
        seconds = statistics.median(self.steps(2))
        self.steps_of_a_turn = max(1, min(200, round(TURN_SECONDS / seconds)))

    def turn(self):
        time.sleep(PAUSE_SECONDS)
        self.rates.append(1.0 / statistics.median(self.steps(self.steps_of_a_turn)))

    def finish(self):
        self.process.stdin.close()
        last = json.loads(self.process.stdout.read().strip().splitlines()[-1])
        self.process.wait()
        return last


def measure(options, llmc, python, recipe):
    shape = shape_of(llmc, recipe)
    if options.no_clip:
        shape["clip_norm"] = None
    threads = str(options.threads)
    device = [] if options.device == "cpu" else ["--device", options.device]
    # The stage of the presets is called `train`.
    device += ["--set", f"train.precision={options.precision}"]
    workers = [Worker("llmc", [llmc, "bench", recipe, "--serve", "--threads", threads, *device])]
    shape.update(device=options.device, precision=options.precision)
    for mode in options.modes.split(","):
        say(f"  {recipe.stem}: starting PyTorch, {mode}")
        workers.append(Worker(mode, [python, PEER, json.dumps({**shape, "mode": mode, "threads": options.threads})]))
    for worker in workers:
        worker.calibrate()
    for index in range(options.rounds):
        say(f"  {recipe.stem}: round {index + 1} of {options.rounds}")
        for worker in workers:
            worker.turn()
    tokens = shape["rows"] * shape["length"]
    ours, results = workers[0], {}
    for worker in workers:
        last = worker.finish()
        results[worker.name] = {
            "tokens_per_s": tokens * statistics.median(worker.rates),
            "speedup_of_llmc": statistics.median(a / b for a, b in zip(ours.rates, worker.rates)),
            "rates": worker.rates,
            **last,
        }
        if worker is not ours and last["params"] != results["llmc"]["params"]:
            sys.exit(f"{recipe}: llmc trains {results['llmc']['params']} values, PyTorch {last['params']}")
    return results


def table(all_results, modes):
    head = ["preset", "llmc tokens/s", *(f"{mode} tokens/s" for mode in modes), *(f"llmc / {mode}" for mode in modes)]
    head += ["llmc / faster", "llmc MB", *(f"{mode} MB" for mode in modes), "memory of faster", "llmc first step"]
    lines = [head, ["---"] * len(head)]
    for preset, results in all_results.items():
        ours, peers = results["llmc"], [results[mode] for mode in modes]
        faster = max(peers, key=lambda peer: peer["tokens_per_s"])
        lines.append(
            [preset]
            + [f"{each['tokens_per_s']:.0f}" for each in (ours, *peers)]
            + [f"{peer['speedup_of_llmc']:.2f}" for peer in (*peers, faster)]
            + [f"{each['peak_rss_mb']:.0f}" for each in (ours, *peers)]
            + [f"{ours['peak_rss_mb'] / faster['peak_rss_mb']:.2f}", f"{ours['first_step_s']:.2f} s"]
        )
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def say(text):
    print(text, file=sys.stderr, flush=True)


def main():
    options = arguments()
    llmc, python = llmc_binary(options), python_with_torch(options)
    all_results = {}
    for name in options.presets.split(","):
        recipe = Path(name) if name.endswith(".recipe") else ROOT / "recipes" / "bench" / f"{name}.recipe"
        all_results[recipe.stem] = measure(options, llmc, python, recipe)
    if options.json:
        options.json.write_text(json.dumps(all_results, indent=1))
    print(table(all_results, options.modes.split(",")))


if __name__ == "__main__":
    main()
