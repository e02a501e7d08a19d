//! Every operator with operands of odd shapes.

use crate::graph::Tensor;
use crate::op::{AdamConstants, AdamOutput, AttentionInput, NormInput, Op, RandomFunction, Reduction, Shape};
use crate::plan::{
    AttentionSettings, BinaryFunction, LossPlan, OrderRule, Rotary, RotaryLayout, RotaryScaling, ScheduleKind,
    SchedulePlan, UnaryFunction,
};
use crate::random::{Stream, stream_of};

/// One operand of a sample.
pub enum Operand {
    /// Any numbers of magnitude up to 1.6.
    Any(&'static [u64]),
    /// Numbers between 0.3 and 1.8.
    Positive(&'static [u64]),
    /// These very values.
    Fixed(Tensor),
}

impl Operand {
    /// Its values. `salt` tells operands of one operator apart.
    pub fn tensor(&self, salt: usize) -> Tensor {
        let uniform = |shape: &[u64], f: &dyn Fn(f32) -> f32| {
            let stream = Stream::new(7, stream_of("operand") ^ salt as u64);
            let count = shape.iter().product();
            Tensor::f32(shape, (0..count).map(|i| f(stream.uniform(i))).collect())
        };
        match self {
            Operand::Any(shape) => {
                let count: u64 = shape.iter().product();
                if count > 24 {
                    return uniform(shape, &|u| {
                        let signed = 3.0 * u - 1.5;
                        signed + 0.1f32.copysign(signed)
                    });
                }
                // A shuffled ladder: no two elements of this or the other operand, and no element and 0, are nearer
                // than 0.04, so that finite differences cross no kink.
                let rung = |i: u64| ((i * 29 + 5 * salt as u64) % count) as f32 - (count / 2) as f32;
                let offset = 0.04 * (1 + salt % 2) as f32;
                Tensor::f32(shape, (0..count).map(|i| 0.12 * rung(i) + offset).collect())
            }
            Operand::Positive(shape) => uniform(shape, &|u| 0.3 + 1.5 * u),
            Operand::Fixed(tensor) => tensor.clone(),
        }
    }

    /// True for floats that a derivative can be taken for.
    pub fn varies(&self) -> bool {
        !matches!(self, Operand::Fixed(_))
    }
}

fn ids(shape: &[u64], values: &[i32]) -> Operand {
    Operand::Fixed(Tensor::i32(shape, values.to_vec()))
}

fn scalar(value: f32) -> Operand {
    Operand::Fixed(Tensor::scalar(value))
}

fn lengths(values: [f32; 2]) -> Operand {
    Operand::Fixed(Tensor::f32(&[2], values.to_vec()))
}

/// What a sample operator is fed, none for sources. A new operator does not compile until it has an arm here.
pub fn operands(op: &Op) -> Option<Vec<Operand>> {
    use Operand::{Any, Positive};
    Some(match op {
        Op::Input { .. } | Op::State { .. } | Op::Constant(_) | Op::Pattern { .. } => return None,
        Op::Unary(function) => match function {
            UnaryFunction::Log | UnaryFunction::Sqrt | UnaryFunction::Rsqrt | UnaryFunction::Reciprocal => {
                vec![Positive(&[3, 5])]
            }
            UnaryFunction::Negate
            | UnaryFunction::Exp
            | UnaryFunction::Square
            | UnaryFunction::Abs
            | UnaryFunction::Sin
            | UnaryFunction::Cos
            | UnaryFunction::Tanh
            | UnaryFunction::Sigmoid
            | UnaryFunction::Erf
            | UnaryFunction::Relu
            | UnaryFunction::Silu
            | UnaryFunction::Gelu
            | UnaryFunction::GeluTanh => vec![Any(&[3, 5])],
        },
        Op::Binary(function) => match function {
            BinaryFunction::Power => vec![Positive(&[3, 1, 2]), Any(&[5, 1])],
            BinaryFunction::Divide => vec![Any(&[3, 1, 2]), Positive(&[5, 1])],
            BinaryFunction::Add
            | BinaryFunction::Subtract
            | BinaryFunction::Multiply
            | BinaryFunction::Maximum
            | BinaryFunction::Minimum => vec![Any(&[3, 1, 2]), Any(&[5, 1])],
        },
        Op::Select => vec![ids(&[3, 1], &[0, 2, -1]), Any(&[1, 5]), Any(&[])],
        Op::Greater => vec![Any(&[3, 1]), Any(&[5])],
        Op::Cast(_) => vec![Any(&[3, 4])],
        Op::Random { .. } => vec![Any(&[3, 7]), scalar(5.0)],
        Op::Reduce { .. } => vec![Any(&[2, 3, 4])],
        Op::Reshape(_) | Op::Slice { .. } | Op::Pad { .. } => vec![Any(&[2, 3, 5])],
        Op::Permute(_) => vec![Any(&[2, 3, 5, 1])],
        Op::Expand(_) => vec![Any(&[3, 1, 1])],
        Op::Concat { .. } => vec![Any(&[2, 1, 3]), Any(&[2, 4, 3]), Any(&[2, 2, 3])],
        Op::MatMul { transpose_left, transpose_right } => {
            let left: &[u64] = if *transpose_left { &[2, 5, 3] } else { &[2, 3, 5] };
            let right: &[u64] = if *transpose_right { &[2, 7, 5] } else { &[2, 5, 7] };
            vec![Any(left), Any(right)]
        }
        Op::Gather => vec![Any(&[5, 3]), ids(&[2, 3], &[4, 0, 0, 2, 4, 4])],
        Op::ScatterAdd { .. } => vec![ids(&[2, 2], &[3, 0, 3, 1]), Any(&[2, 2, 3])],
        Op::TopK { .. } => vec![Any(&[2, 3, 5])],
        Op::Pick => vec![Any(&[2, 2, 5]), ids(&[2, 2, 3], &[4, 0, 0, 2, 4, 1, 3, 3, 3, 0, 1, 2])],
        Op::Place { .. } => vec![ids(&[2, 3], &[3, 0, 3, 1, 2, 4]), Any(&[2, 3])],
        Op::RoutedMatMul { transpose } => {
            let matrices: &[u64] = if *transpose { &[4, 3, 2] } else { &[4, 2, 3] };
            vec![Any(&[3, 2]), ids(&[6], &[0, 3, 3, 1, 0, 3]), Any(matrices)]
        }
        Op::RoutedOuter { .. } => vec![Any(&[3, 2]), ids(&[6], &[0, 3, 3, 1, 0, 3]), Any(&[6, 5])],
        Op::Softmax => vec![Any(&[2, 3, 5])],
        Op::LayerNorm { .. } => vec![Any(&[2, 3, 5]), Any(&[5]), Any(&[5])],
        Op::RmsNorm { .. } => vec![Any(&[2, 3, 5]), Any(&[5])],
        Op::LayerNormGrad { .. } | Op::RmsNormGrad { .. } => {
            vec![Any(&[2, 3, 5]), Any(&[5]), Any(&[2, 3, 5])]
        }
        Op::Rotate { .. } => vec![Any(&[2, 3, 2, 6]), ids(&[2, 3], &[0, 1, 2, 7, 8, 30])],
        Op::Attention(settings) | Op::AttentionStats(settings) => {
            let mut operands = attention_operands(settings);
            operands.extend(further_operands(settings));
            operands
        }
        Op::AttentionGrad { settings, .. } => {
            let mut operands = attention_operands(settings);
            operands.extend([Any(&[2, 3, 4, 5]), Positive(&[2, 4, 3]), Any(&[2, 3, 4, 5])]);
            operands.extend(further_operands(settings));
            operands
        }
        Op::CachedAttention(_) => {
            vec![Any(&[2, 3, 4, 6]), Any(&[2, 7, 2, 6]), Any(&[2, 7, 2, 5]), lengths([2.0, 4.0])]
        }
        Op::CacheWrite => vec![Any(&[2, 7, 2, 3]), Any(&[2, 3, 2, 3]), lengths([4.0, 1.0])],
        Op::CrossEntropy(_) => vec![Any(&[4, 7]), ids(&[4], &[6, -100, 0, 3])],
        Op::CrossEntropyGrad(_) => vec![Any(&[4, 7]), ids(&[4], &[6, -100, 0, 3]), Any(&[4])],
        Op::SumSquares => vec![Any(&[3, 5])],
        Op::AddScalars => vec![Any(&[]), Any(&[]), Any(&[])],
        Op::LearningRate { .. } => vec![scalar(60.0)],
        Op::AdamW { .. } => {
            vec![Any(&[3, 5]), Any(&[3, 5]), Positive(&[3, 5]), Any(&[3, 5]), scalar(3e-2), scalar(0.7), scalar(4.0)]
        }
    })
}

/// Query, key and value; where places do not count the keys are fewer than the queries.
fn attention_operands(settings: &AttentionSettings) -> Vec<Operand> {
    use Operand::Any;
    if settings.is_positional() {
        vec![Any(&[2, 3, 4, 6]), Any(&[2, 3, 2, 6]), Any(&[2, 3, 2, 5])]
    } else {
        vec![Any(&[2, 3, 4, 6]), Any(&[2, 2, 2, 6]), Any(&[2, 2, 2, 5])]
    }
}

/// Document numbers, places in an order, and what is added to the scores.
fn further_operands(settings: &AttentionSettings) -> Vec<Operand> {
    let mut operands = Vec::new();
    let keys = |numbers: [i32; 6]| match settings.is_positional() {
        true => ids(&[2, 3], &numbers),
        false => ids(&[2, 2], &[numbers[0], numbers[2], numbers[3], numbers[4]]),
    };
    // Every query sees a key: of one that sees none the statistics are infinite, and its gradients say nothing.
    let documents = (settings.documents, [0, 0, 1, 4, 5, 5], [0, 0, 1, 4, 5, 5]);
    let order = (settings.order.is_some(), [2, 1, 3, 2, 4, 1], [0, 2, 1, 0, 3, 0]);
    for (given, of_queries, of_keys) in [documents, order] {
        if given {
            operands.extend([ids(&[2, 3], &of_queries), keys(of_keys)]);
        }
    }
    if settings.bias {
        operands.push(Operand::Any(if settings.is_positional() { &[1, 4, 3, 3] } else { &[2, 1, 3, 2] }));
    }
    operands
}

/// Attention with each of its settings.
fn attentions() -> Vec<AttentionSettings> {
    let (full, causal) = (AttentionSettings::full(0.5), AttentionSettings::causal(0.5));
    vec![
        full,
        causal,
        AttentionSettings { documents: true, ..full },
        AttentionSettings { documents: true, ..causal },
        AttentionSettings { window: Some(2), ..full },
        AttentionSettings { window: Some(2), soft_cap: Some(1.5), ..causal },
        AttentionSettings { alibi: true, ..full },
        AttentionSettings { alibi: true, bias: true, ..causal },
        AttentionSettings { order: Some(OrderRule::NotLater), bias: true, soft_cap: Some(2.0), ..full },
        AttentionSettings { order: Some(OrderRule::Earlier), documents: true, bias: true, ..causal },
    ]
}

/// Every operator that has operands, some with several settings.
pub fn operators() -> Vec<Op> {
    let yarn = RotaryScaling::Yarn {
        factor: 4.0,
        original: 20,
        beta_fast: 2.0,
        beta_slow: 0.5,
        attention_factor: None,
        truncate: false,
    };
    let mut operators = vec![
        Op::Select,
        Op::Greater,
        Op::Random { function: RandomFunction::Dropout(0.4), seed: 3, site: 2 },
        Op::Random { function: RandomFunction::Round, seed: 3, site: 2 },
        Op::Reshape(Shape::from_slice(&[6, 5])),
        Op::Permute(vec![2, 0, 3, 1]),
        Op::Expand(Shape::from_slice(&[2, 3, 4, 1])),
        Op::Slice { axis: 1, start: 1, length: 2 },
        Op::Pad { axis: 1, before: 2, after: 1 },
        Op::Concat { axis: 1 },
        Op::Gather,
        Op::ScatterAdd { rows: 5 },
        Op::TopK { count: 2 },
        Op::Pick,
        Op::Place { size: 5 },
        Op::RoutedMatMul { transpose: false },
        Op::RoutedMatMul { transpose: true },
        Op::RoutedOuter { experts: 5 },
        Op::Softmax,
        Op::LayerNorm { eps: 1e-2 },
        Op::RmsNorm { eps: 1e-2 },
        Op::Rotate { rotary: Rotary::plain(100.0), inverse: false },
        Op::Rotate { rotary: Rotary { layout: RotaryLayout::Interleaved, ..Rotary::plain(100.0) }, inverse: true },
        Op::Rotate { rotary: Rotary { scaling: yarn, ..Rotary::plain(100.0) }, inverse: false },
        Op::CachedAttention(AttentionSettings::causal(0.5)),
        Op::CachedAttention(AttentionSettings {
            alibi: true,
            window: Some(3),
            soft_cap: Some(1.5),
            ..AttentionSettings::causal(0.5)
        }),
        Op::CacheWrite,
        Op::SumSquares,
        Op::AddScalars,
    ];
    operators.extend(UNARY.map(Op::Unary));
    operators.extend(BINARY.map(Op::Binary));
    for kind in [Reduction::Sum, Reduction::Max] {
        operators.extend([vec![1], vec![0, 2]].map(|axes| Op::Reduce { kind, axes }));
    }
    for plan in [LossPlan::default(), LossPlan { label_smoothing: 0.2, z_loss: 0.05 }] {
        operators.extend([Op::CrossEntropy(plan), Op::CrossEntropyGrad(plan)]);
    }
    for (transpose_left, transpose_right) in [(false, false), (false, true), (true, false), (true, true)] {
        operators.push(Op::MatMul { transpose_left, transpose_right });
    }
    for wrt in [NormInput::Value, NormInput::Scale, NormInput::Shift] {
        operators.push(Op::LayerNormGrad { eps: 1e-2, wrt });
    }
    for wrt in [NormInput::Value, NormInput::Scale] {
        operators.push(Op::RmsNormGrad { eps: 1e-2, wrt });
    }
    for settings in attentions() {
        operators.extend([Op::Attention(settings), Op::AttentionStats(settings)]);
        for wrt in [AttentionInput::Query, AttentionInput::Key, AttentionInput::Value, AttentionInput::Bias] {
            operators.push(Op::AttentionGrad { settings, wrt });
        }
    }
    use ScheduleKind::{Constant, Cosine, Linear, WarmupStableDecay};
    for (kind, warmup) in [(Constant, 0), (Linear, 10), (Cosine, 10), (Cosine, 90), (WarmupStableDecay, 10)] {
        let schedule = SchedulePlan { kind, warmup, floor: 0.1, decay: 50, steps: 100 };
        operators.push(Op::LearningRate { peak: 0.25, schedule });
    }
    for output in [AdamOutput::Weight, AdamOutput::FirstMoment, AdamOutput::SecondMoment] {
        let constants = AdamConstants { beta1: 0.9, beta2: 0.95, epsilon: 1e-3, weight_decay: 0.1 };
        operators.push(Op::AdamW { constants, output });
    }
    operators
}

const UNARY: [UnaryFunction; 17] = [
    UnaryFunction::Negate,
    UnaryFunction::Exp,
    UnaryFunction::Log,
    UnaryFunction::Sqrt,
    UnaryFunction::Rsqrt,
    UnaryFunction::Reciprocal,
    UnaryFunction::Square,
    UnaryFunction::Abs,
    UnaryFunction::Sin,
    UnaryFunction::Cos,
    UnaryFunction::Tanh,
    UnaryFunction::Sigmoid,
    UnaryFunction::Erf,
    UnaryFunction::Relu,
    UnaryFunction::Silu,
    UnaryFunction::Gelu,
    UnaryFunction::GeluTanh,
];

const BINARY: [BinaryFunction; 7] = [
    BinaryFunction::Add,
    BinaryFunction::Subtract,
    BinaryFunction::Multiply,
    BinaryFunction::Divide,
    BinaryFunction::Maximum,
    BinaryFunction::Minimum,
    BinaryFunction::Power,
];
