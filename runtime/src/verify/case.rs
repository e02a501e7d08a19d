//! A kernel with operands of its own: one step, or two where it needs what another makes, behind those that round the operands.

use llmc_compiler::plan::{DType, Origin};
use llmc_compiler::program::{Buffer, Instruction, Kernel, LoopBody, MemoryKind, Program, Region, Step, View};
use llmc_compiler::random::Stream;

use crate::device::HostTensor;

/// Bytes of a guard: more than a block's threads write side by side.
const GUARD: u64 = 4096;
/// Elements that are hidden together.
const STRETCH: u64 = 50;

/// What a buffer holds before the kernel runs.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fill {
    /// Standard normals.
    Normal,
    /// Their squares.
    Square,
    /// Normals, and stretches of minus infinity: a short row may have nothing else.
    Hidden,
    /// A number of its own for every element, from 0 up to and without it; as floats or as whole numbers.
    Below(u64),
    /// The same, where some are -1.
    BelowOrIgnored(u64),
    /// Documents along rows of so many: short ones in the order of their numbers, and in every other row longer ones of which
    /// one comes back.
    Documents(u64),
    /// A small positive number.
    Small,
    /// Not a number: it has to be written.
    Unset,
}

/// A kernel to be compared.
#[derive(Debug, Clone)]
pub struct Case {
    /// One program whose inputs and outputs are all buffers, by number. A buffer of 16-bit floats is filled from another of
    /// 32-bit ones, as the host gives no other. Its name is those of the kernels, with their operands' sizes.
    pub program: Program,
    /// How many of the buffers are operands; as many guards follow.
    operands: usize,
    fills: Vec<Fill>,
}

/// Values of a buffer.
#[derive(Debug, Clone)]
pub enum Values {
    /// Floats.
    F32(Vec<f32>),
    /// Whole numbers.
    I32(Vec<i32>),
}

impl Values {
    /// As a device takes them.
    pub fn tensor(&self) -> HostTensor<'_> {
        match self {
            Values::F32(values) => HostTensor::F32(values),
            Values::I32(values) => HostTensor::I32(values),
        }
    }
}

impl Case {
    /// A step of a program, or some that follow each other, alone: their buffers get new places, one after another.
    pub fn of(program: &Program, own: &[Step]) -> Case {
        let mut steps: Vec<Step> = own.iter().filter_map(forward).collect();
        let first = steps.len();
        steps.extend_from_slice(own);
        let mut used: Vec<usize> = Vec::new();
        for view in steps.iter_mut().flat_map(|step| step.reads.iter_mut().chain(&mut step.writes)) {
            let known = used.iter().position(|buffer| *buffer == view.buffer);
            view.buffer = known.unwrap_or_else(|| {
                used.push(view.buffer);
                used.len() - 1
            });
        }
        let buffers: Vec<Buffer> = used.into_iter().map(|buffer| program.buffers[buffer].clone()).collect();
        let names: Vec<String> = steps[first..].iter().map(|step| name(step, &buffers)).collect();
        let mut fills = fills(&steps, &buffers);
        let operands = buffers.len();
        // Behind every operand lies a guard that nobody may touch: what is read there is not a number, and what is written there shows.
        let mut buffers = buffers;
        buffers.extend((0..operands).map(guard));
        fills.resize(buffers.len(), Fill::Unset);
        let whole = |index: usize, buffer: &Buffer| View::contiguous(index, &[buffer.bytes / buffer.dtype.bytes()]);
        let outputs =
            buffers.iter().enumerate().map(|(index, buffer)| (index.to_string(), whole(index, buffer))).collect();
        let mut program = Program {
            name: names.join(", "),
            buffers: Vec::new(),
            steps: Vec::new(),
            inputs: Vec::new(),
            outputs,
            scratch_bytes: 0,
            peak_by_kind: Vec::new(),
            flops: 0,
        };
        let mut given = Vec::new();
        for (index, buffer) in buffers.iter().enumerate() {
            let mut input = index;
            if buffer.dtype.is_half() {
                input = buffers.len() + given.len();
                given.push(Buffer { dtype: DType::F32, bytes: 2 * buffer.bytes, ..buffer.clone() });
                let [read, write] = [input, index].map(|place| whole(place, buffer));
                let body = LoopBody { instructions: vec![Instruction::Load(0)], results: vec![0] };
                program.steps.push(copy(body, read, write));
            }
            program.inputs.push((index.to_string(), input));
        }
        program.steps.extend(steps);
        program.buffers = buffers.into_iter().chain(given).collect();
        lay_out(&mut program, operands);
        Case { program, operands, fills }
    }

    /// The same with 32-bit floats in all buffers, for a device without 16-bit memory accesses: what a step has written is
    /// rounded behind it, and what a loop writes within it.
    pub fn widened(&self) -> Program {
        let mut program = self.program.clone();
        let types: Vec<DType> = program.buffers.iter().map(|buffer| buffer.dtype).collect();
        for buffer in program.buffers.iter_mut().filter(|buffer| buffer.dtype.is_half()) {
            (buffer.dtype, buffer.bytes) = (DType::F32, 2 * buffer.bytes);
        }
        lay_out(&mut program, self.operands);
        for mut step in std::mem::take(&mut program.steps) {
            let halves = |view: &View| Some(types[view.buffer]).filter(|dtype| dtype.is_half());
            // The first result of a normalised loop is the norm.
            let first = usize::from(matches!(step.kernel, Kernel::LoopNorm { .. }));
            let mut by_itself = 0;
            if let Kernel::Loop(body) | Kernel::LoopNorm { body, .. } = &mut step.kernel {
                by_itself = body.results.len();
                for (result, view) in body.results.iter_mut().zip(&step.writes[first..]) {
                    if let Some(dtype) = halves(view) {
                        body.instructions.push(Instruction::Round(dtype, *result));
                        *result = body.instructions.len() - 1;
                    }
                }
            }
            let rounds =
                step.writes.iter().enumerate().filter(|(write, _)| *write < first || *write >= first + by_itself);
            let rounds: Vec<Step> = rounds.filter_map(|(_, view)| Some(round(halves(view)?, view))).collect();
            program.steps.push(step);
            program.steps.extend(rounds);
        }
        program
    }

    /// How far rounding alone may move a result: a unit of the coarsest type that is written, by each step.
    pub fn unit(&self) -> f64 {
        let own = self.program.steps.iter().filter(|step| !is_input(&self.program, step));
        let coarsest = |step: &Step| {
            let types = step.writes.iter().map(|view| self.program.buffers[view.buffer].dtype);
            types.map(unit).fold(0.0, f64::max)
        };
        own.map(coarsest).sum()
    }

    /// How many times as far a single element may be moved. Tensor cores round weights before they are summed, and gradients of
    /// scores are differences of numbers of which each was rounded: where little is left of them, that is all that is seen.
    pub fn spread(&self) -> f64 {
        match self.program.steps.last().map(|step| &step.kernel) {
            Some(Kernel::Attention { .. }) => 2.0,
            Some(Kernel::AttentionGrad { .. }) => 8.0,
            _ => 1.0,
        }
    }

    /// Random operands: the same for the same seed and number.
    pub fn values(&self, seed: u64, number: u64) -> Vec<Values> {
        let buffers = self.program.buffers.iter().zip(&self.fills).enumerate();
        let values = buffers.map(|(index, (buffer, fill))| {
            let stream = Stream::new(seed, number << 8 | index as u64);
            let count = buffer.bytes / buffer.dtype.bytes();
            match buffer.dtype {
                DType::F32 => Values::F32((0..count).map(|element| fill.float(&stream, element)).collect()),
                dtype @ (DType::Bf16 | DType::F16) => {
                    Values::F32((0..count).map(|element| dtype.round(fill.float(&stream, element))).collect())
                }
                DType::I32 => Values::I32((0..count).map(|element| fill.whole(&stream, element)).collect()),
            }
        });
        values.collect()
    }

    /// What makes two cases the same: kernel, sizes, strides and types.
    pub fn key(&self) -> String {
        let operands = |step: &Step| format!("{:?} {:?} {:?}", step.kernel, step.reads, step.writes);
        let steps: Vec<String> = self.program.steps.iter().map(operands).collect();
        let types: Vec<&str> = self.program.buffers.iter().map(|buffer| buffer.dtype.name()).collect();
        format!("{steps:?} {:?} {types:?}", self.fills)
    }

    /// What an output is in words.
    pub fn describe(&self, output: usize) -> String {
        match output.checked_sub(self.operands) {
            None => format!("operand {output}"),
            Some(operand) => format!("what lies behind operand {operand}"),
        }
    }

    /// Bytes of its operands.
    pub fn bytes(&self) -> u64 {
        self.program.scratch_bytes
    }
}

impl Fill {
    fn float(self, stream: &Stream, element: u64) -> f32 {
        match self {
            Fill::Normal => stream.normal(element),
            Fill::Square => stream.normal(element).powi(2),
            Fill::Hidden if stream.uniform((1 << 32) + element / STRETCH) < 0.25 => f32::NEG_INFINITY,
            Fill::Hidden => stream.normal(element),
            Fill::Small => 0.1 * (1.0 + stream.uniform(element)),
            Fill::Unset => f32::NAN,
            Fill::Below(_) | Fill::BelowOrIgnored(_) | Fill::Documents(_) => self.whole(stream, element) as f32,
        }
    }

    fn whole(self, stream: &Stream, element: u64) -> i32 {
        let below = |end: u64| (f64::from(stream.uniform(element)) * end as f64) as i32;
        match self {
            Fill::Below(end) => below(end),
            Fill::BelowOrIgnored(end) if stream.uniform(element + (1 << 32)) < 0.9 => below(end),
            Fill::BelowOrIgnored(_) => -1,
            Fill::Documents(row) if (element / row).is_multiple_of(2) => (element % row / 17) as i32,
            Fill::Documents(row) => (element % row / 41 * 3 % 4) as i32 - 1,
            Fill::Normal | Fill::Square | Fill::Hidden | Fill::Small | Fill::Unset => below(100),
        }
    }
}

/// The distance of neighbouring numbers around 1, where results may differ by it; 0 where they differ by sums' order alone.
fn unit(dtype: DType) -> f64 {
    match dtype {
        DType::F32 | DType::I32 => 0.0,
        DType::Bf16 => 2f64.powi(-7),
        DType::F16 => 2f64.powi(-10),
    }
}

/// The guard behind an operand.
fn guard(operand: usize) -> Buffer {
    let name = format!("guard {operand}");
    Buffer { name, region: Region::Scratch, offset: 0, bytes: GUARD, dtype: DType::F32, kind: MemoryKind::Activations }
}

/// Places for all buffers, one after another; behind each of the operands its guard, without a gap.
fn lay_out(program: &mut Program, operands: usize) {
    let (mut offset, mut guards) = (0, Vec::new());
    for (index, buffer) in program.buffers.iter_mut().enumerate() {
        (buffer.name, buffer.region) = (index.to_string(), Region::Scratch);
        buffer.kind = MemoryKind::Activations;
        if (operands..2 * operands).contains(&index) {
            buffer.offset = guards[index - operands];
            continue;
        }
        buffer.offset = offset;
        let end = offset + buffer.bytes;
        offset = end;
        if index < operands {
            offset = end.next_multiple_of(4);
            guards.push(offset);
            offset += GUARD;
        }
        offset = offset.next_multiple_of(64);
    }
    program.scratch_bytes = offset;
}

fn copy(body: LoopBody, read: View, write: View) -> Step {
    Step { kernel: Kernel::Loop(body), reads: vec![read], writes: vec![write], origin: Origin::default() }
}

/// Rounds a view in place.
fn round(dtype: DType, view: &View) -> Step {
    let instructions = vec![Instruction::Load(0), Instruction::Round(dtype, 0)];
    copy(LoopBody { instructions, results: vec![1] }, view.clone(), view.clone())
}

/// Whether a step only rounds what the host gave.
fn is_input(program: &Program, step: &Step) -> bool {
    let given =
        |view: &View| program.inputs.iter().any(|(_, input)| *input == view.buffer && *input >= program.outputs.len());
    step.reads.iter().any(given)
}

/// `matmul [4, 8] bf16 [8, 16] bf16 -> [4, 16]`
fn name(step: &Step, buffers: &[Buffer]) -> String {
    let shape = |view: &View| match buffers[view.buffer].dtype {
        dtype if dtype.is_half() => format!("{:?} {}", view.shape.as_slice(), dtype.name()),
        _ => format!("{:?}", view.shape.as_slice()),
    };
    let shapes = |views: &[View]| views.iter().map(shape).collect::<Vec<_>>();
    let Origin { path, place } = &step.origin;
    let origin = if path.is_empty() && place.is_empty() { String::new() } else { format!(" at `{path}` ({place})") };
    format!("{} {} -> {}{origin}", step.kernel.name(), shapes(&step.reads).join(" "), shapes(&step.writes).join(" "))
}

/// The gradient of attention takes the result and the statistics of its forward pass.
fn forward(step: &Step) -> Option<Step> {
    let Kernel::AttentionGrad { settings, .. } = &step.kernel else { return None };
    let further = step.reads.get(6..)?;
    Some(Step {
        kernel: Kernel::Attention { settings: *settings, stats: true },
        reads: step.reads[..3].iter().chain(further).cloned().collect(),
        writes: vec![step.reads[3].clone(), step.reads[4].clone()],
        origin: step.origin.clone(),
    })
}

/// The size of the last axis.
fn last(view: &View) -> u64 {
    view.shape.last().copied().unwrap_or(1)
}

/// What every buffer holds: normals, except where a kernel asks for something else.
fn fills(steps: &[Step], buffers: &[Buffer]) -> Vec<Fill> {
    let mut fills = vec![Fill::Unset; buffers.len()];
    for view in steps.iter().flat_map(|step| &step.reads) {
        fills[view.buffer] = Fill::Normal;
    }
    for step in steps {
        let read = |index: usize| &step.reads[index];
        let mut set = |view: &View, fill: Fill| fills[view.buffer] = fill;
        let accumulates = match &step.kernel {
            Kernel::MatMul { accumulate } | Kernel::ScatterAdd { accumulate } => *accumulate,
            Kernel::RoutedOuter { accumulate } => *accumulate,
            Kernel::LayerNormGrad { accumulate, .. } | Kernel::RmsNormGrad { accumulate, .. } => *accumulate,
            Kernel::CacheWrite => true,
            _ => false,
        };
        if let (true, Some(write)) = (accumulates, step.writes.first()) {
            set(write, Fill::Normal);
        }
        match &step.kernel {
            Kernel::Gather => set(read(1), Fill::Below(read(0).shape[0])),
            Kernel::ScatterAdd { .. } => set(read(0), Fill::Below(step.writes[0].shape[0])),
            Kernel::Pick => set(read(1), Fill::Below(last(read(0)))),
            Kernel::Place => set(read(0), Fill::Below(last(&step.writes[0]))),
            Kernel::RoutedMatMul => set(read(1), Fill::Below(read(2).shape[0])),
            Kernel::RoutedOuter { .. } => set(read(1), Fill::Below(step.writes[0].shape[0])),
            Kernel::Rotate { .. } => set(read(1), Fill::Below(4096)),
            Kernel::Attention { settings, .. } => {
                let further = settings.operands(3);
                for (first, documents) in [(further.documents, true), (further.order, false)] {
                    for operand in first.into_iter().flat_map(|first| [first, first + 1]) {
                        let row = read(operand).shape[1];
                        set(read(operand), if documents { Fill::Documents(row) } else { Fill::Below(row) });
                    }
                }
            }
            Kernel::CachedAttention(_) => set(read(3), Fill::Below(read(1).shape[1] - read(0).shape[1] + 1)),
            Kernel::CacheWrite => set(read(1), Fill::Below(step.writes[0].shape[1] - read(0).shape[1] + 1)),
            Kernel::Softmax => set(read(0), Fill::Hidden),
            Kernel::CrossEntropy(plan) | Kernel::CrossEntropyGrad { plan, .. } => {
                set(read(1), Fill::BelowOrIgnored(last(read(0))));
                // The mean of all logits, which smoothing asks for, would hide every difference.
                if plan.label_smoothing == 0.0 {
                    set(read(0), Fill::Hidden);
                }
            }
            Kernel::LearningRate { .. } => set(read(0), Fill::Below(100)),
            Kernel::Random { .. } => set(read(1), Fill::Below(100)),
            Kernel::AdamW(_) => {
                for (operand, fill) in [(1, Fill::Small), (2, Fill::Small), (3, Fill::Below(100))] {
                    set(read(operand), fill);
                }
                for (write, fill) in step.writes.iter().zip([Fill::Normal, Fill::Normal, Fill::Square]) {
                    set(write, fill);
                }
            }
            _ => {}
        }
    }
    fills
}
