//! Checks what every program must hold: views within their buffers, nothing read before it is written or after its memory
//! has gone to another, results apart from operands unless the kernel may work in place.

use crate::program::{BufferId, Kernel, Program, Region, Step, View};

/// Checks a program.
///
/// # Errors
/// The first violation, with the step. Each is a bug of the scheduler.
pub fn verify(program: &Program) -> Result<(), String> {
    check_buffers(program)?;
    for (index, step) in program.steps.iter().enumerate() {
        let views = step.reads.iter().chain(&step.writes);
        views.chain(program.outputs.iter().map(|(_, view)| view)).try_for_each(|view| check_bounds(program, view))?;
        check_operands(program, step).map_err(|reason| format!("step {index} ({:?}): {reason}", step.kernel))?;
    }
    check_memory(program)
}

fn check_buffers(program: &Program) -> Result<(), String> {
    for (index, buffer) in program.buffers.iter().enumerate() {
        if buffer.offset % 64 != 0 {
            return Err(format!("buffer {index} is not aligned"));
        }
        if buffer.region == Region::Scratch && buffer.offset + buffer.bytes > program.scratch_bytes {
            return Err(format!("buffer {index} ends beyond the scratch region"));
        }
    }
    Ok(())
}

fn check_bounds(program: &Program, view: &View) -> Result<(), String> {
    let Some(buffer) = program.buffers.get(view.buffer) else {
        return Err(format!("{view:?} has no buffer"));
    };
    let fits = view.last().is_none_or(|last| (last + 1) * buffer.dtype.bytes() <= buffer.bytes);
    if !fits || view.shape.len() != view.strides.len() {
        return Err(format!("{view:?} goes beyond its buffer of {} bytes", buffer.bytes));
    }
    Ok(())
}

/// The rules of `program.rs` on operands.
fn check_operands(program: &Program, step: &Step) -> Result<(), String> {
    for (index, write) in step.writes.iter().enumerate() {
        if !write.is_injective() {
            return Err(format!("write {index} names an element twice"));
        }
        if step.writes[..index].iter().any(|other| other.overlaps(write)) {
            return Err(format!("write {index} overlaps another"));
        }
        for (operand, read) in step.reads.iter().enumerate() {
            let in_place = match step.kernel {
                Kernel::Loop(_) => true,
                Kernel::LoopNorm { centred, .. } => index > 0 && operand + 1 + usize::from(centred) < step.reads.len(),
                Kernel::Rotate { .. } | Kernel::CrossEntropyGrad { .. } | Kernel::Random { .. } => operand == 0,
                _ => false,
            };
            if read.overlaps(write) && !(in_place && read == write) {
                return Err(format!("write {index} overlaps read {operand}"));
            }
        }
    }
    match &step.kernel {
        Kernel::Loop(body) => {
            let shape = &step.writes.first().ok_or("a loop writes nothing")?.shape;
            let same = step.reads.iter().chain(&step.writes).all(|view| view.shape == *shape);
            if !same || body.results.len() != step.writes.len() {
                return Err("the operands of a loop differ in shape".to_owned());
            }
        }
        Kernel::LoopNorm { body, centred, .. } => {
            let shape = &step.writes.first().ok_or("a loop writes nothing")?.shape;
            let reads = step.reads.len().saturating_sub(1 + usize::from(*centred));
            let same = step.reads[..reads].iter().chain(&step.writes).all(|view| view.shape == *shape);
            let rows = step.writes.iter().all(View::has_rows);
            if !same || !rows || body.results.len() + 1 != step.writes.len() {
                return Err("the operands of a normalised loop differ in shape".to_owned());
            }
        }
        Kernel::MatMul { .. } | Kernel::Reduce { .. } => {}
        Kernel::AdamW(_) | Kernel::SumSquares | Kernel::Random { .. } => {
            let contiguous = step.reads.iter().chain(&step.writes).all(View::is_contiguous);
            if !contiguous {
                return Err("an operand is not contiguous".to_owned());
            }
        }
        kernel => {
            // Matrices that ids name may be transposed.
            let any_strides = match kernel {
                Kernel::RoutedMatMul => step.reads.get(2),
                Kernel::RoutedOuter { .. } => step.writes.first(),
                _ => None,
            };
            let of_floats = |view: &&View| program.buffers[view.buffer].dtype.is_float();
            let mut views = step.reads.iter().chain(&step.writes).filter(of_floats);
            if !views.all(|view| view.has_rows() || any_strides.is_some_and(|other| std::ptr::eq(view, other))) {
                return Err("an operand has no rows".to_owned());
            }
        }
    }
    Ok(())
}

/// Runs the program over a map of the scratch region that says which buffer's values lie where.
fn check_memory(program: &Program) -> Result<(), String> {
    let mut owners = Owners::default();
    for (_, buffer) in &program.inputs {
        owners.claim(program, *buffer);
    }
    for (index, step) in program.steps.iter().enumerate() {
        for view in &step.reads {
            if !owners.holds(program, view.buffer) {
                return Err(format!("step {index} reads buffer {}, whose memory holds something else", view.buffer));
            }
        }
        for view in &step.writes {
            if !owners.holds(program, view.buffer) {
                owners.claim(program, view.buffer);
            }
        }
        for view in &step.writes {
            if !owners.holds(program, view.buffer) {
                return Err(format!("two results of step {index} share memory"));
            }
        }
        for view in &step.reads {
            let replaced = !owners.holds(program, view.buffer);
            if replaced {
                return Err(format!("a result of step {index} lies over buffer {}, which it reads", view.buffer));
            }
        }
    }
    for (name, view) in &program.outputs {
        if !owners.holds(program, view.buffer) {
            return Err(format!("the result {name} is overwritten"));
        }
    }
    Ok(())
}

/// Which buffers hold their values at the moment: (offset, end, buffer), ascending and apart.
#[derive(Default)]
struct Owners {
    ranges: std::collections::BTreeMap<u64, (u64, BufferId)>,
}

impl Owners {
    fn holds(&self, program: &Program, buffer: BufferId) -> bool {
        let Some(known) = program.buffers.get(buffer) else {
            return false;
        };
        known.region == Region::Persistent || self.ranges.get(&known.offset).is_some_and(|(_, owner)| *owner == buffer)
    }

    /// The buffer's memory is its own from now on; whatever overlaps it is lost.
    fn claim(&mut self, program: &Program, buffer: BufferId) {
        let (start, bytes) = (program.buffers[buffer].offset, program.buffers[buffer].bytes);
        let end = start + bytes.max(1);
        while let Some((&offset, &(other_end, _))) = self.ranges.range(..end).next_back() {
            if other_end <= start {
                break;
            }
            self.ranges.remove(&offset);
        }
        self.ranges.insert(start, (end, buffer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lower::lower;
    use crate::schedule::{Hardware, schedule};
    use crate::testing::plans::tiny_stages;

    fn program() -> Program {
        let (_, stage) = tiny_stages(1).remove(0);
        schedule(&lower(&stage).unwrap(), &stage, Hardware::Processor).update
    }

    #[test]
    fn a_sound_program_passes() {
        assert_eq!(verify(&program()), Ok(()));
    }

    #[test]
    fn every_kind_of_damage_is_found() {
        let damages: [fn(&mut Program, usize); 6] = [
            // The first product runs before what it reads is there.
            |program, product| program.steps[..=product].rotate_right(1),
            |program, _| program.scratch_bytes -= 64,
            |program, product| program.buffers[program.steps[product].writes[0].buffer].offset += 4,
            |program, product| program.steps[product].reads[0].shape[0] += 1000,
            |program, product| program.steps[product].writes[0] = program.steps[product].reads[0].clone(),
            // Every value in the same place.
            |program, _| program.buffers.iter_mut().for_each(|buffer| buffer.offset = 0),
        ];
        for (index, damage) in damages.into_iter().enumerate() {
            let mut program = program();
            let product = program.steps.iter().position(|step| matches!(step.kernel, Kernel::MatMul { .. }));
            damage(&mut program, product.unwrap());
            assert!(verify(&program).is_err(), "damage {index}");
        }
    }
}
