//! A kernel with operands of its own: one step, or two where it needs what another makes.

use llmc_compiler::plan::{DType, Origin};
use llmc_compiler::program::{Buffer, Kernel, MemoryKind, Program, Region, Step, View};
use llmc_compiler::random::Stream;

use crate::device::HostTensor;

/// What a buffer holds before the kernel runs.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fill {
    /// Standard normals.
    Normal,
    /// Their squares.
    Square,
    /// A number of its own for every element, from 0 up to and without it; as floats or as whole numbers.
    Below(u64),
    /// The same, where some are -1.
    BelowOrIgnored(u64),
    /// Numbers that rise slowly along rows of so many.
    Rising(u64),
    /// A small positive number.
    Small,
    /// Not a number: it has to be written.
    Unset,
}

/// A kernel to be compared.
#[derive(Debug, Clone)]
pub struct Case {
    /// One program whose inputs and outputs are all buffers, by number.
    pub program: Program,
    /// The kernel's name, and its operands' sizes.
    pub name: String,
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
    /// A step of a program, alone: its buffers get new places, one after another.
    pub fn of(program: &Program, step: &Step) -> Case {
        let mut steps = Vec::from_iter(forward(step));
        steps.push(step.clone());
        let mut used: Vec<usize> = Vec::new();
        for view in steps.iter_mut().flat_map(|step| step.reads.iter_mut().chain(&mut step.writes)) {
            let known = used.iter().position(|buffer| *buffer == view.buffer);
            view.buffer = known.unwrap_or_else(|| {
                used.push(view.buffer);
                used.len() - 1
            });
        }
        let mut offset = 0;
        let mut buffers = Vec::new();
        for buffer in used {
            let Buffer { bytes, dtype, .. } = program.buffers[buffer];
            let name = buffers.len().to_string();
            buffers.push(Buffer { name, region: Region::Scratch, offset, bytes, dtype, kind: MemoryKind::Activations });
            offset += bytes.next_multiple_of(64);
        }
        let name = name(steps.last().unwrap_or(step));
        let fills = fills(&steps, &buffers);
        let inputs = (0..buffers.len()).map(|index| (index.to_string(), index)).collect();
        let whole =
            |(index, buffer): (usize, &Buffer)| (index.to_string(), View::contiguous(index, &[buffer.bytes / 4]));
        let outputs = buffers.iter().enumerate().map(whole).collect();
        let program = Program {
            name: step.kernel.name().to_owned(),
            buffers,
            steps,
            inputs,
            outputs,
            scratch_bytes: offset,
            peak_by_kind: Vec::new(),
            flops: 0,
        };
        Case { program, name, fills }
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
        format!("{steps:?} {:?}", self.fills)
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
            Fill::Small => 0.1 * (1.0 + stream.uniform(element)),
            Fill::Unset => f32::NAN,
            Fill::Below(_) | Fill::BelowOrIgnored(_) | Fill::Rising(_) => self.whole(stream, element) as f32,
        }
    }

    fn whole(self, stream: &Stream, element: u64) -> i32 {
        let below = |end: u64| (f64::from(stream.uniform(element)) * end as f64) as i32;
        match self {
            Fill::Below(end) => below(end),
            Fill::BelowOrIgnored(end) if stream.uniform(element + (1 << 32)) < 0.9 => below(end),
            Fill::BelowOrIgnored(_) => -1,
            Fill::Rising(row) => (element % row * 3 / row) as i32,
            Fill::Normal | Fill::Square | Fill::Small | Fill::Unset => below(100),
        }
    }
}

/// `matmul [4, 8] [8, 16] -> [4, 16]`
fn name(step: &Step) -> String {
    let shapes = |views: &[View]| views.iter().map(|view| format!("{:?}", view.shape.as_slice())).collect::<Vec<_>>();
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
                        set(read(operand), if documents { Fill::Rising(row) } else { Fill::Below(row) });
                    }
                }
            }
            Kernel::CachedAttention(_) => set(read(3), Fill::Below(read(1).shape[1] - read(0).shape[1] + 1)),
            Kernel::CacheWrite => set(read(1), Fill::Below(step.writes[0].shape[1] - read(0).shape[1] + 1)),
            Kernel::CrossEntropy(_) | Kernel::CrossEntropyGrad { .. } => {
                set(read(1), Fill::BelowOrIgnored(last(read(0))));
            }
            Kernel::LearningRate { .. } => set(read(0), Fill::Below(100)),
            Kernel::Dropout { .. } => set(read(1), Fill::Below(100)),
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
