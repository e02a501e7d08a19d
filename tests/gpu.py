#!/usr/bin/env python3
"""What tests/gpu.sh runs: checks first, then times, each within what is left of eight minutes.

1. every kernel against the processor, at awkward sizes and at those of small recipes, with fresh random operands;
2. the first 20 losses of recipes against the processor's;
3. NVIDIA's memory checker over the kernels, where compute-sanitizer is there;
4. seconds by kernel and by step, beside PyTorch eager and compiled on the same card in the same run.

Every part that fails is told and the others go on. The exit status is 1 if a check failed.
"""

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

STARTED = time.monotonic()
BUDGET = 480.0
# Losses may differ by rounding, which training slowly magnifies.
TOLERANCE = 2e-3
CHECKED = ["recipes/bench/d.recipe", "recipes/bench/b.recipe", "recipes/bench/c.recipe"]
TIMED = ["recipes/bench/b.recipe", "recipes/bench/c.recipe"]
# Formula of the utilisation: 6 N + 6 L C T operations a token (N weights, L layers, C width, T tokens of a row; causal).


def left():
    return BUDGET - (time.monotonic() - STARTED)


def call(command, limit, environment=None):
    """Output of a command, or why there is none."""
    limit = min(limit, left())
    if limit < 5:
        return None, "no time left"
    try:
        done = subprocess.run(
            [str(part) for part in command], capture_output=True, text=True, timeout=limit, env={**os.environ, **(environment or {})}
        )
    except OSError as error:
        return None, str(error)
    except subprocess.TimeoutExpired:
        return None, f"took longer than {limit:.0f} s"
    if done.returncode != 0:
        return done.stdout, (done.stderr or done.stdout)[-4000:].strip() or f"exit {done.returncode}"
    return done.stdout, None


class Report:
    def __init__(self, out):
        self.out, self.lines, self.data, self.failed = Path(out), [], {}, []
        self.out.mkdir(parents=True, exist_ok=True)

    def say(self, text):
        print(text, flush=True)
        self.lines.append(text)
        (self.out / "gpu.md").write_text("\n\n".join(self.lines) + "\n")

    def keep(self, name, value):
        self.data[name] = value
        (self.out / "gpu.json").write_text(json.dumps(self.data, indent=1))

    def fault(self, name, reason):
        self.failed.append(name)
        self.say(f"**{name}: failed**\n\n```text\n{reason}\n```")


def machine(report):
    query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total,clocks.max.sm,power.limit", "--format=csv,noheader"]
    text, error = call(query, 20)
    report.say("# On a card\n\n" + (error or text.strip()))
    report.keep("machine", error or text.strip())


def kernels(report, llmc):
    seed = random.randrange(1 << 30)
    for name, recipes in [("kernels at awkward sizes", []), ("kernels of recipes", CHECKED)]:
        began = time.monotonic()
        text, error = call([llmc, "check-device", *recipes, "--device", "cuda", "--seed", seed, "--most", 512], 120)
        seconds = time.monotonic() - began
        report.keep(name, {"seed": seed, "seconds": seconds, "output": text, "error": error})
        if error:
            report.fault(name, f"{text or ''}\n{error}")
        else:
            report.say(f"## {name[0].upper()}{name[1:]} (seed {seed}, {seconds:.1f} s)\n\n{text.strip()}")


def losses(report, llmc):
    rows = []
    for recipe in CHECKED:
        curves, reason = {}, None
        with tempfile.TemporaryDirectory() as folder:
            for device in ["cpu", "cuda"]:
                out = f"{folder}/{device}"
                command = [llmc, "run", recipe, "--device", device, "--out", out, "--set", "train.budget=20 steps", "--quiet"]
                _, error = call(command, 90)
                if error:
                    reason = f"{device}: {error}"
                    break
                lines = (Path(out) / "train" / "metrics.jsonl").read_text().splitlines()
                curves[device] = [json.loads(line)["loss"] for line in lines]
        if reason:
            report.fault(f"losses of {recipe}", reason)
            continue
        apart = max(abs(a - b) / abs(a) for a, b in zip(curves["cpu"], curves["cuda"]))
        rows.append(f"| {Path(recipe).stem} | {curves['cpu'][0]:.5f} | {curves['cuda'][-1]:.5f} | {apart:.1e} |")
        report.keep(f"losses of {recipe}", curves)
        if apart > TOLERANCE or len(curves["cpu"]) != len(curves["cuda"]):
            report.fault(f"losses of {recipe}", f"apart by {apart:.1e}: {curves}")
    if rows:
        head = "| recipe | first loss | last loss | largest difference to the processor |\n| --- | ---: | ---: | ---: |\n"
        report.say("## The first 20 losses\n\n" + head + "\n".join(rows))


def sanitizer(report, llmc):
    tool = shutil.which("compute-sanitizer") or "/usr/local/cuda/bin/compute-sanitizer"
    if not Path(tool).exists():
        return report.say("## Memory checker\n\nskipped: compute-sanitizer is not there")
    for check in ["memcheck", "racecheck"]:
        command = [tool, "--tool", check, "--error-exitcode", 9, llmc, "check-device", "--device", "cuda", "--most", 1]
        text, error = call(command, 60)
        report.keep(check, error or "clean")
        if error:
            report.fault(check, f"{(text or '')[-2000:]}\n{error}")
        else:
            report.say(f"## Memory checker, {check}\n\nclean")


def by_kernel(report, llmc):
    for recipe in TIMED:
        text, error = call([llmc, "bench", recipe, "--device", "cuda"], 60)
        report.keep(f"time of {recipe}", {"output": text, "error": error})
        if error:
            report.fault(f"time of {recipe}", error)
        else:
            report.say(f"## {Path(recipe).stem}: where the time goes\n\n```text\n{text.strip()}\n```")


def beside_pytorch(report, llmc):
    _, error = call([sys.executable, "-c", "import torch; assert torch.cuda.is_available()"], 60)
    if error:
        return report.say("## Beside PyTorch\n\nskipped: no PyTorch that sees the card")
    for precision in ["f32", "tf32", "bf16"]:
        for recipe in TIMED:
            file = report.out / f"pytorch-{Path(recipe).stem}-{precision}.json"
            command = [sys.executable, "benches/pytorch.py", "--device", "cuda", "--precision", precision, "--presets", recipe]
            command += ["--llmc", llmc, "--python", sys.executable, "--rounds", 5, "--json", file]
            text, error = call(command, 120)
            ours = "f32" if precision == "f32" else "tf32"
            name = f"{Path(recipe).stem} beside PyTorch in {precision}"
            report.keep(name, {"output": text, "error": error})
            if error:
                report.fault(name, error)
            else:
                report.say(f"## {name}\n\nllmc in {ours}.\n\n{text.strip()}")


def main():
    llmc, report = sys.argv[1], Report(sys.argv[2])
    machine(report)
    kernels(report, llmc)
    losses(report, llmc)
    by_kernel(report, llmc)
    sanitizer(report, llmc)
    beside_pytorch(report, llmc)
    failed = ", ".join(report.failed) or "none"
    report.say(f"Failed: {failed}. {time.monotonic() - STARTED:.0f} s.")
    sys.exit(1 if report.failed else 0)


if __name__ == "__main__":
    main()
