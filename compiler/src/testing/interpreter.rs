//! Runs a program the obvious way: every operand is gathered through its view, the kernel's meaning is that of the
//! operators it stands for, and the results are scattered through theirs.

use crate::graph::{Data, Graph, Target, Tensor};
use crate::op::{AdamOutput, AttentionInput, NormInput, Op, Shape, Type};
use crate::plan::{BinaryFunction, DType};
use crate::program::{Instruction, Kernel, LoopBody, PersistentBuffer, Program, Region, Step, View};

use super::values::Values;

/// The two regions of a stage's memory, in words of 32 bits.
pub(crate) struct Memory {
    persistent: Vec<u32>,
    scratch: Vec<u32>,
}

impl Memory {
    /// Memory whose scratch region is full of numbers that make every result that depends on them wrong.
    pub(crate) fn new(persistent_bytes: u64) -> Memory {
        Memory { persistent: vec![f32::NAN.to_bits(); persistent_bytes as usize / 4], scratch: Vec::new() }
    }

    /// Sets the states that have values.
    pub(crate) fn write_states(&mut self, layout: &[PersistentBuffer], states: &Values) {
        for buffer in layout {
            let Some(state) = states.get(&buffer.name) else {
                continue;
            };
            let start = buffer.offset as usize / 4;
            for (index, word) in words(state).into_iter().enumerate() {
                self.persistent[start + index] = word;
            }
        }
    }

    /// The states.
    pub(crate) fn read_states(&self, layout: &[PersistentBuffer]) -> Values {
        let read = |buffer: &PersistentBuffer| {
            let start = buffer.offset as usize / 4;
            let words = &self.persistent[start..start + buffer.bytes as usize / 4];
            (buffer.name.clone(), tensor(&buffer.shape, buffer.dtype, words.to_vec()))
        };
        layout.iter().map(read).collect()
    }

    /// Runs a program once.
    pub(crate) fn run(&mut self, program: &Program, inputs: &Values) -> Values {
        self.scratch = vec![f32::NAN.to_bits(); program.scratch_bytes as usize / 4];
        for (name, buffer) in &program.inputs {
            let buffer = &program.buffers[*buffer];
            let start = buffer.offset as usize / 4;
            for (index, word) in words(&inputs[name]).into_iter().enumerate() {
                self.scratch[start + index] = word;
            }
        }
        for step in &program.steps {
            let reads: Vec<Tensor> = step.reads.iter().map(|view| self.read(program, view)).collect();
            let before: Vec<Tensor> = step.writes.iter().map(|view| self.read(program, view)).collect();
            for (view, result) in step.writes.iter().zip(results(step, &reads, &before)) {
                self.write(program, view, &result);
            }
        }
        program.outputs.iter().map(|(name, view)| (name.clone(), self.read(program, view))).collect()
    }

    fn read(&self, program: &Program, view: &View) -> Tensor {
        let buffer = &program.buffers[view.buffer];
        let region = match buffer.region {
            Region::Persistent => &self.persistent,
            Region::Scratch => &self.scratch,
        };
        let words = addresses(view).map(|address| region[buffer.offset as usize / 4 + address]).collect();
        tensor(&view.shape, buffer.dtype, words)
    }

    fn write(&mut self, program: &Program, view: &View, value: &Tensor) {
        let buffer = &program.buffers[view.buffer];
        let region = match buffer.region {
            Region::Persistent => &mut self.persistent,
            Region::Scratch => &mut self.scratch,
        };
        let value = match (buffer.dtype, &value.data) {
            (DType::I32, Data::F32(floats)) => {
                Tensor::i32(&value.shape, floats.iter().map(|&float| float as i32).collect())
            }
            _ => value.clone(),
        };
        assert_eq!(value.ty().elements(), view.elements());
        for (address, word) in addresses(view).zip(words(&value)) {
            region[buffer.offset as usize / 4 + address] = word;
        }
    }
}

/// Indices of a view's elements in its buffer.
fn addresses(view: &View) -> impl Iterator<Item = usize> + '_ {
    (0..view.elements()).map(|index| {
        let (mut rest, mut address) = (index, view.offset);
        for (size, stride) in view.shape.iter().zip(&view.strides).rev() {
            address += rest % size * stride;
            rest /= size;
        }
        address as usize
    })
}

fn words(tensor: &Tensor) -> Vec<u32> {
    match &tensor.data {
        Data::F32(values) | Data::Half(_, values) => values.iter().map(|value| value.to_bits()).collect(),
        Data::I32(values) => values.iter().map(|&value| value as u32).collect(),
    }
}

fn tensor(shape: &[u64], dtype: DType, words: Vec<u32>) -> Tensor {
    match dtype {
        DType::Bf16 | DType::F16 => unreachable!("halves are widened for this interpreter"),
        DType::F32 => Tensor::f32(shape, words.into_iter().map(f32::from_bits).collect()),
        DType::I32 => Tensor::i32(shape, words.into_iter().map(|word| word as i32).collect()),
    }
}

/// The reference meaning of one operator.
fn apply(op: Op, operands: &[&Tensor]) -> Tensor {
    let mut graph = Graph::new();
    let mut inputs = Values::new();
    let origin = Default::default();
    let ids: Vec<_> = operands
        .iter()
        .enumerate()
        .map(|(index, &operand)| {
            inputs.insert(index.to_string(), operand.clone());
            graph.add(Op::Input { name: index.to_string(), ty: operand.ty() }, &[], &origin)
        })
        .collect();
    let value = graph.add(op, &ids, &origin);
    graph.output(Target::Result("value".to_owned()), value);
    graph.execute(&inputs, &mut Values::new()).unwrap().remove("value").unwrap()
}

/// What a step writes. `before` is what its writes held.
fn results(step: &Step, reads: &[Tensor], before: &[Tensor]) -> Vec<Tensor> {
    let all: Vec<&Tensor> = reads.iter().collect();
    let one = |op: Op| vec![apply(op, &all)];
    let added = |accumulate: bool, op: Op| {
        let value = apply(op, &all);
        vec![if accumulate { apply(Op::Binary(BinaryFunction::Add), &[&before[0], &value]) } else { value }]
    };
    match &step.kernel {
        Kernel::Loop(body) => loop_results(body, reads, &step.writes[0].shape),
        Kernel::Reduce { kind, axes, body } => {
            let shape = reads.first().map_or(step.writes[0].shape.clone(), |read| read.shape.clone());
            let value = loop_results(body, reads, &shape).remove(0);
            vec![apply(Op::Reduce { kind: *kind, axes: axes.clone() }, &[&value])]
        }
        Kernel::MatMul { accumulate } => {
            added(*accumulate, Op::MatMul { transpose_left: false, transpose_right: false })
        }
        Kernel::ScatterAdd { accumulate } => added(*accumulate, Op::ScatterAdd { rows: before[0].shape[0] }),
        Kernel::Gather => one(Op::Gather),
        Kernel::TopK { count } => one(Op::TopK { count: *count }),
        Kernel::Pick => one(Op::Pick),
        Kernel::Place => one(Op::Place { size: before[0].shape.last().copied().unwrap_or(1) }),
        Kernel::RoutedMatMul => one(Op::RoutedMatMul { transpose: false }),
        Kernel::RoutedOuter { accumulate } => added(*accumulate, Op::RoutedOuter { experts: before[0].shape[0] }),
        Kernel::Softmax => one(Op::Softmax),
        Kernel::LayerNorm { eps } => one(Op::LayerNorm { eps: *eps }),
        Kernel::RmsNorm { eps } => one(Op::RmsNorm { eps: *eps }),
        Kernel::LoopNorm { body, centred, eps } => {
            let (reads, parameters) = reads.split_at(reads.len() - 1 - usize::from(*centred));
            let mut results = loop_results(body, reads, &step.writes[0].shape);
            let operands: Vec<&Tensor> = results.first().into_iter().chain(parameters).collect();
            let op = if *centred { Op::LayerNorm { eps: *eps } } else { Op::RmsNorm { eps: *eps } };
            results.insert(0, apply(op, &operands));
            results
        }
        Kernel::LayerNormGrad { accumulate, eps, writes } => {
            let gradient = |wrt| apply(Op::LayerNormGrad { eps: *eps, wrt }, &all);
            added_to_first(*accumulate, norm_inputs(writes).map(gradient).collect(), before)
        }
        Kernel::RmsNormGrad { accumulate, eps, writes } => {
            let gradient = |wrt| apply(Op::RmsNormGrad { eps: *eps, wrt }, &all);
            added_to_first(*accumulate, norm_inputs(writes).map(gradient).collect(), before)
        }
        Kernel::Rotate { rotary, inverse } => one(Op::Rotate { rotary: *rotary, inverse: *inverse }),
        Kernel::Attention { settings, stats } => {
            let mut results = one(Op::Attention(*settings));
            if *stats {
                results.extend(one(Op::AttentionStats(*settings)));
            }
            results
        }
        Kernel::AttentionGrad { settings, writes } => {
            let gradient = |&wrt: &AttentionInput| apply(Op::AttentionGrad { settings: *settings, wrt }, &all);
            let mut results: Vec<Tensor> = writes.iter().map(gradient).collect();
            results.extend(before.last().cloned());
            results
        }
        Kernel::CachedAttention(settings) => one(Op::CachedAttention(*settings)),
        Kernel::CacheWrite => vec![apply(Op::CacheWrite, &[&before[0], &reads[0], &reads[1]])],
        Kernel::CrossEntropy(plan) => one(Op::CrossEntropy(*plan)),
        Kernel::CrossEntropyGrad { plan, loss } => {
            let mut results = one(Op::CrossEntropyGrad(*plan));
            if *loss {
                results.push(apply(Op::CrossEntropy(*plan), &all[..2]));
            }
            results
        }
        Kernel::Pattern(pattern) => one(Op::Pattern { pattern: *pattern, shape: step.writes[0].shape.clone() }),
        Kernel::SumSquares => one(Op::SumSquares),
        Kernel::LearningRate { peak, schedule } => one(Op::LearningRate { peak: *peak, schedule: schedule.clone() }),
        Kernel::AdamW(constants) => {
            let operands = [&before[0], &before[1], &before[2], &reads[0], &reads[1], &reads[2], &reads[3]];
            [AdamOutput::Weight, AdamOutput::FirstMoment, AdamOutput::SecondMoment]
                .map(|output| apply(Op::AdamW { constants: *constants, output }, &operands))
                .to_vec()
        }
        Kernel::Random { function, seed, site } => one(Op::Random { function: *function, seed: *seed, site: *site }),
    }
}

fn added_to_first(accumulate: bool, mut results: Vec<Tensor>, before: &[Tensor]) -> Vec<Tensor> {
    if accumulate {
        results[0] = apply(Op::Binary(BinaryFunction::Add), &[&before[0], &results[0]]);
    }
    results
}

fn norm_inputs(writes: &[bool]) -> impl Iterator<Item = NormInput> + '_ {
    let inputs = [NormInput::Value, NormInput::Scale, NormInput::Shift];
    inputs.into_iter().zip(writes).filter(|(_, wanted)| **wanted).map(|(input, _)| input)
}

/// The values of a loop's results over a shape.
fn loop_results(body: &LoopBody, reads: &[Tensor], shape: &Shape) -> Vec<Tensor> {
    let mut registers: Vec<Tensor> = Vec::new();
    for instruction in &body.instructions {
        let value = match *instruction {
            Instruction::Load(read) => Tensor::f32(&reads[read].shape, reads[read].to_f32()),
            Instruction::Constant(value) => {
                let count = Type::f32(shape).elements();
                Tensor::f32(shape, vec![value; count as usize])
            }
            Instruction::Unary(function, a) => apply(Op::Unary(function), &[&registers[a]]),
            Instruction::Binary(function, a, b) => apply(Op::Binary(function), &[&registers[a], &registers[b]]),
            Instruction::Greater(a, b) => apply(Op::Greater, &[&registers[a], &registers[b]]),
            Instruction::Select(condition, a, b) => {
                apply(Op::Select, &[&registers[condition], &registers[a], &registers[b]])
            }
            Instruction::Round(dtype, a) => {
                let rounded = registers[a].to_f32().into_iter().map(|value| dtype.round(value));
                Tensor::f32(&registers[a].shape, rounded.collect())
            }
        };
        assert_eq!(value.shape, *shape);
        registers.push(value);
    }
    body.results.iter().map(|&result| registers[result].clone()).collect()
}
