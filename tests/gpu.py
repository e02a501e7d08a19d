#!/usr/bin/env python3
"""What tests/gpu.sh runs: checks first, then times, each within what is left of eight minutes.

1. every kernel against the processor, at awkward sizes and at those of small recipes, with fresh random operands;
2. the first 20 losses of recipes against the processor's, in f32 and bf16;
3. models as they are trained on one card: seconds by kernel and by step, tokens/s, use of the card and memory, beside PyTorch
   (eager and compiled, flash attention, fused AdamW) on the same card in the same run;
4. NVIDIA's memory checker over the kernels, where compute-sanitizer is there;
5. the small presets beside PyTorch in f32 and tf32.

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

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "benches"))
import pytorch  # noqa: E402  (it lies beside the other benchmarks)

STARTED = time.monotonic()
BUDGET = 480.0
# Losses may differ by rounding, which training slowly magnifies.
TOLERANCE = {"f32": 2e-3, "bf16": 2e-2}
CHECKED = ["recipes/bench/d.recipe", "recipes/bench/b.recipe", "recipes/bench/c.recipe"]
SMALL = ["recipes/bench/b.recipe", "recipes/bench/c.recipe"]
MODELS = ["recipes/bench/card/gpt2-124m.recipe", "recipes/bench/card/llama-1b.recipe", "recipes/bench/card/llama-8b.recipe"]
# PyTorch's side of the comparison trains every weight, which does not fit a card for this one.
ALONE = {"recipes/bench/card/llama-8b.recipe"}
# Dense bf16 products of a card, in FLOP/s (NVIDIA's data sheets).
PEAKS = {"H100 PCIe": 756e12, "H100": 989e12, "H200": 989e12, "A100": 312e12, "B200": 2250e12}


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
    for recipe, precision in [(recipe, precision) for recipe in CHECKED for precision in TOLERANCE]:
        name, curves, reason = f"losses of {Path(recipe).stem} in {precision}", {}, None
        with tempfile.TemporaryDirectory() as folder:
            for device in ["cpu", "cuda"]:
                out = f"{folder}/{device}"
                command = [llmc, "run", recipe, "--device", device, "--out", out, "--quiet"]
                command += ["--set", "train.budget=20 steps", "--set", f"train.precision={precision}"]
                _, error = call(command, 60)
                if error:
                    reason = f"{device}: {error}"
                    break
                lines = (Path(out) / "train" / "metrics.jsonl").read_text().splitlines()
                curves[device] = [json.loads(line)["loss"] for line in lines]
        if reason:
            report.fault(name, reason)
            continue
        apart = max(abs(a - b) / abs(a) for a, b in zip(curves["cpu"], curves["cuda"]))
        first, last = curves["cpu"][0], curves["cuda"][-1]
        rows.append(f"| {Path(recipe).stem} | {precision} | {first:.5f} | {last:.5f} | {apart:.1e} |")
        report.keep(name, curves)
        if not apart <= TOLERANCE[precision] or len(curves["cpu"]) != len(curves["cuda"]):
            report.fault(name, f"apart by {apart:.1e}: {curves}")
    if rows:
        head = "| recipe | precision | first loss | last loss | largest difference to the processor |\n"
        report.say("## The first 20 losses\n\n" + head + "| --- | --- | ---: | ---: | ---: |\n" + "\n".join(rows))


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


def peak(report):
    """FLOP/s of bf16 products that the card is sold with, if it is known."""
    name = str(report.data.get("machine"))
    return next((flops for card, flops in PEAKS.items() if card in name), None)


def models(report, llmc, has_pytorch):
    rows = []
    for recipe in MODELS:
        name = Path(recipe).stem
        text, error = call([llmc, "bench", recipe, "--device", "cuda", "--steps", 10], 90)
        report.keep(f"{name} by kernel", {"output": text, "error": error})
        if error:
            report.fault(f"{name} by kernel", error)
            continue
        report.say(f"## {name}: where the time goes\n\n```text\n{text.strip()}\n```")
        text, error = call([llmc, "bench", recipe, "--device", "cuda", "--steps", 10, "--json"], 90)
        if error:
            report.fault(f"{name} as JSON", error)
            continue
        ours = json.loads(text)
        report.keep(name, ours)
        # 6 N + 6 L C T operations a token: N weights, L layers, C width, T tokens of a row; causal.
        shape = pytorch.shape_of(llmc, recipe)
        per_token = 6 * ours["params"] + 6 * shape["depth"] * shape["width"] * shape["length"]
        if recipe in ALONE:
            per_token = ours["flops_per_step"] / (ours["batch"] * ours["seq"])
        used = f"{per_token * ours['tokens_per_s'] / peak(report):.1%}" if peak(report) else "?"
        rows.append(
            f"| {name} | {ours['batch']} x {ours['seq']} | {ours['step_ms']:.1f} | {ours['tokens_per_s']:.0f} | {used} "
            f"| {ours['predicted_peak_mb']:.0f} | {ours['card_mb']:.0f} |"
        )
        if has_pytorch and recipe not in ALONE:
            beside_pytorch(report, llmc, recipe, "bf16")
    if rows:
        head = "| model | batch | step ms | tokens/s | MFU | predicted MiB | taken MiB |\n| --- | --- | ---: | ---: | ---: | ---: | ---: |\n"
        formula = "MFU: (6 N + 6 L C T) tokens/s over the card's dense bf16 peak; where layers are frozen, the FLOPs that are done."
        report.say("## Models in bf16\n\n" + head + "\n".join(rows) + "\n\n" + formula)


def sees_card(report):
    _, error = call([sys.executable, "-c", "import torch; assert torch.cuda.is_available()"], 60)
    if error:
        report.say("## Beside PyTorch\n\nskipped: no PyTorch that sees the card")
    return not error


def beside_pytorch(report, llmc, recipe, precision):
    name = f"{Path(recipe).stem} beside PyTorch in {precision}"
    file = report.out / f"pytorch-{Path(recipe).stem}-{precision}.json"
    command = [sys.executable, "benches/pytorch.py", "--device", "cuda", "--precision", precision, "--presets", recipe]
    command += ["--llmc", llmc, "--python", sys.executable, "--rounds", 5, "--json", file]
    text, error = call(command, 120)
    report.keep(name, {"output": text, "error": error})
    if error:
        report.fault(name, error)
    else:
        report.say(f"## {name}\n\n{text.strip()}")


def main():
    llmc, report = sys.argv[1], Report(sys.argv[2])
    machine(report)
    kernels(report, llmc)
    losses(report, llmc)
    has_pytorch = sees_card(report)
    models(report, llmc, has_pytorch)
    sanitizer(report, llmc)
    if has_pytorch:
        for recipe, precision in [(recipe, precision) for precision in ["tf32", "f32"] for recipe in SMALL]:
            beside_pytorch(report, llmc, recipe, precision)
    failed = ", ".join(report.failed) or "none"
    report.say(f"Failed: {failed}. {time.monotonic() - STARTED:.0f} s.")
    sys.exit(1 if report.failed else 0)


if __name__ == "__main__":
    main()
