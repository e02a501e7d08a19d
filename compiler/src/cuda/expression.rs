//! Loop bodies as straight-line C.

use super::settings::float;
use crate::plan::{BinaryFunction, UnaryFunction};
use crate::program::{Instruction, LoopBody};

/// The statements that fill the registers a result needs, one a line; `load` gives the value of a read. Register `i` is `ti`.
pub(super) fn statements(body: &LoopBody, indent: &str, load: impl Fn(usize) -> String) -> String {
    let mut text = String::new();
    for (number, instruction) in body.instructions.iter().enumerate() {
        let value = match *instruction {
            Instruction::Load(read) => load(read),
            Instruction::Constant(value) => float(value),
            Instruction::Unary(function, x) => unary(function, &format!("t{x}")),
            Instruction::Binary(function, a, b) => binary(function, &format!("t{a}"), &format!("t{b}")),
            Instruction::Round(dtype, a) => format!("round_{}(t{a})", dtype.name()),
            Instruction::Greater(a, b) => format!("t{a} > t{b} ? 1.0f : 0.0f"),
            Instruction::Select(condition, a, b) => format!("t{condition} != 0.0f ? t{a} : t{b}"),
        };
        text.push_str(&format!("{indent}const float t{number} = {value};\n"));
    }
    text
}

fn unary(function: UnaryFunction, x: &str) -> String {
    match function {
        UnaryFunction::Negate => format!("-{x}"),
        UnaryFunction::Exp => format!("expf({x})"),
        UnaryFunction::Log => format!("logf({x})"),
        UnaryFunction::Sqrt => format!("sqrtf({x})"),
        UnaryFunction::Rsqrt => format!("1.0f / sqrtf({x})"),
        UnaryFunction::Reciprocal => format!("1.0f / {x}"),
        UnaryFunction::Square => format!("{x} * {x}"),
        UnaryFunction::Abs => format!("fabsf({x})"),
        UnaryFunction::Sin => format!("sinf({x})"),
        UnaryFunction::Cos => format!("cosf({x})"),
        UnaryFunction::Tanh => format!("tanhf({x})"),
        UnaryFunction::Sigmoid => format!("sigmoid({x})"),
        UnaryFunction::Erf => format!("erff({x})"),
        UnaryFunction::Relu => format!("relu({x})"),
        UnaryFunction::Silu => format!("{x} * sigmoid({x})"),
        UnaryFunction::Gelu => format!("gelu({x})"),
        UnaryFunction::GeluTanh => format!("gelu_tanh({x})"),
    }
}

fn binary(function: BinaryFunction, a: &str, b: &str) -> String {
    match function {
        BinaryFunction::Add => format!("{a} + {b}"),
        BinaryFunction::Subtract => format!("{a} - {b}"),
        BinaryFunction::Multiply => format!("{a} * {b}"),
        BinaryFunction::Divide => format!("{a} / {b}"),
        BinaryFunction::Maximum => format!("maximum({a}, {b})"),
        BinaryFunction::Minimum => format!("minimum({a}, {b})"),
        BinaryFunction::Power => format!("powf({a}, {b})"),
    }
}
