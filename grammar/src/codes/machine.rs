//! `E09xx`: command line and machine.

use super::Code;

codes! {
    FILE_NOT_READ = "E0901", "a file cannot be read", "\
The operating system refused to give the file, or it is not UTF-8 text. The message names the reason.";
    SET_WITHOUT_VALUE = "E0902", "`--set` without name or value", "\
`--set` takes `name=value`: a `param` of the recipe, or the dotted path of a field such as `pretrain.sequence_length`. \
The value is written as in the recipe; quote it for the shell where needed: `--set pretrain.budget='2M tokens'`.";
    UNKNOWN_STAGE = "E0903", "no such stage", "\
`--stage` names a stage of the recipe.";
    UNKNOWN_TOPIC = "E0904", "nothing to explain", "\
`llmc explain` takes the code of a diagnostic (`E0201`) or the name of a field, alone or with the kind of its \
declaration (`stage.global_batch`).";
    DEVICE = "E0905", "the device failed", "\
A kernel or an allocation failed on the device. The message names the operation and its place in the recipe.";
    NO_MEMORY = "E0906", "not enough memory", "\
The run needs more memory than the machine has free. `llmc compile` prints where it goes: a smaller `micro_batch` \
shrinks activations, a smaller model shrinks the rest.";
    UNKNOWN_PASS = "E0907", "nothing to emit after this", "\
`llmc emit --after` takes `tree`, `plan`, `lower`, the name of a pass, or `schedule`; `--program` takes a program that \
the stage has (`accumulate` only exists where a step has several micro-batches).";
    NO_CUDA = "E0910", "no CUDA device", "\
`--device cuda` needs an NVIDIA card with its driver, and NVIDIA's run-time compiler (NVRTC), which the CUDA toolkit and \
PyTorch's packages bring along. The message names what is missing. Libraries are looked for in `LLMC_CUDA_LIBS`, \
`CUDA_HOME` (or `CUDA_PATH`), the `nvidia/*/lib` folders of the Python environment (`VIRTUAL_ENV`, `CONDA_PREFIX`, or the \
`python3` in `PATH`), and where the system looks by itself. `--device cpu` runs everything without any of them.";
    NO_CUDA_KERNEL = "E0911", "no CUDA kernel for this", "\
The model has an operation, or a size of one, that the CUDA device has no kernel for; the message names it and its place. \
`--device cpu` runs it.";
    DEVICES_DIFFER = "E0912", "the device computes something else", "\
`llmc check-device` ran a kernel on the device and on the CPU with the same random operands, and the results differ by \
more than rounding. That is a fault of llmc, of the driver, or of the card.";
    NOT_FORMATTED = "E0908", "not laid out canonically", "\
`llmc fmt --check` found a recipe that `llmc fmt` would change.";
    BENCH_INPUT = "E0909", "not a number of steps", "\
`llmc bench --serve` reads one line at a time from standard input: how many steps to run and time next.";
}
