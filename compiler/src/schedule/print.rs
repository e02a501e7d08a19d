//! The stable text form of a program: same recipe, same bytes.
//!
//! ```text
//! program update: 3 steps, scratch 12352 bytes, 98304 flops
//! buffer 0 persistent 0 +4096 f32 weights "weight/wte.weight"
//! step 0 matmul b3[64, 32] b0[32, 16] -> b4[64, 16] // transformer.h.0 std/gpt2:12
//! ```
//! A view shows its offset as `@n` unless it is 0, and its strides as `/[..]` unless it is row-major.

use std::fmt::{self, Write};

use crate::op::Reduction;
use crate::program::{Instruction, Kernel, LoopBody, Program, Region, Step, View};

impl Program {
    /// The whole program as text.
    pub fn print(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, text: &mut String) -> fmt::Result {
        let (name, steps) = (&self.name, self.steps.len());
        writeln!(text, "program {name}: {steps} steps, scratch {} bytes, {} flops", self.scratch_bytes, self.flops)?;
        for (kind, bytes) in &self.peak_by_kind {
            writeln!(text, "peak {kind:?} {bytes}")?;
        }
        for (index, buffer) in self.buffers.iter().enumerate() {
            let region = match buffer.region {
                Region::Persistent => "persistent",
                Region::Scratch => "scratch",
            };
            let dtype = buffer.dtype.name();
            let (offset, bytes, kind, name) = (buffer.offset, buffer.bytes, buffer.kind, &buffer.name);
            writeln!(text, "buffer {index} {region} {offset} +{bytes} {dtype} {kind:?} {name:?}")?;
        }
        for (name, buffer) in &self.inputs {
            writeln!(text, "input {name} b{buffer}")?;
        }
        for (name, view) in &self.outputs {
            writeln!(text, "output {name} {}", Shown(view))?;
        }
        for (index, step) in self.steps.iter().enumerate() {
            write!(text, "step {index} ")?;
            write_step(text, step)?;
        }
        Ok(())
    }
}

fn write_step(text: &mut String, step: &Step) -> fmt::Result {
    let body = match &step.kernel {
        Kernel::Loop(body) => {
            text.write_str("loop")?;
            Some(body)
        }
        Kernel::Reduce { kind, axes, body } => {
            let kind = match kind {
                Reduction::Sum => "sum",
                Reduction::Max => "max",
            };
            write!(text, "reduce {kind} {axes:?}")?;
            Some(body)
        }
        Kernel::LoopNorm { body, centred, eps } => {
            let name = if *centred { "LayerNorm" } else { "RmsNorm" };
            write!(text, "loop, {name} {{ eps: {eps:?} }}")?;
            Some(body)
        }
        kernel => {
            write!(text, "{kernel:?}")?;
            None
        }
    };
    for read in &step.reads {
        write!(text, " {}", Shown(read))?;
    }
    text.write_str(" ->")?;
    for write in &step.writes {
        write!(text, " {}", Shown(write))?;
    }
    writeln!(text, " // {} {}", step.origin.path, step.origin.place)?;
    if let Some(body) = body {
        write_body(text, body)?;
    }
    Ok(())
}

fn write_body(text: &mut String, body: &LoopBody) -> fmt::Result {
    text.write_str("  ")?;
    for (register, instruction) in body.instructions.iter().enumerate() {
        match instruction {
            Instruction::Load(read) => write!(text, "r{register} = load {read}; ")?,
            Instruction::Constant(value) => write!(text, "r{register} = {value:?}; ")?,
            Instruction::Unary(function, a) => write!(text, "r{register} = {function:?} r{a}; ")?,
            Instruction::Binary(function, a, b) => write!(text, "r{register} = {function:?} r{a} r{b}; ")?,
            Instruction::Greater(a, b) => write!(text, "r{register} = Greater r{a} r{b}; ")?,
            Instruction::Select(condition, a, b) => write!(text, "r{register} = Select r{condition} r{a} r{b}; ")?,
            Instruction::Round(dtype, a) => write!(text, "r{register} = {} r{a}; ", dtype.name())?,
        }
    }
    let results: Vec<String> = body.results.iter().map(|result| format!("r{result}")).collect();
    writeln!(text, "write {}", results.join(" "))
}

/// A view as text.
struct Shown<'a>(&'a View);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let view = self.0;
        write!(formatter, "b{}", view.buffer)?;
        if view.offset != 0 {
            write!(formatter, "@{}", view.offset)?;
        }
        write!(formatter, "{:?}", view.shape.as_slice())?;
        if !view.is_contiguous() {
            write!(formatter, "/{:?}", view.strides.as_slice())?;
        }
        Ok(())
    }
}
