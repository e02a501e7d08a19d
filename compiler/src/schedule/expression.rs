//! The scalar expression of a loop: elementwise values are computed in registers, values in memory are loaded through
//! views that lead them to the loop's shape.

use std::collections::BTreeMap;

use super::body::BodyBuilder;
use super::emit::Emitter;
use super::flow::ValueId;
use super::fuse::Role;
use crate::op::Op;
use crate::program::{Instruction, LoopBody, View};

impl Emitter<'_> {
    /// The scalar expression of `id` over its own shape, and its operands. As the root of a loop the value is computed;
    /// else it may also be a load.
    pub(super) fn expression(&mut self, id: ValueId, root: bool) -> (LoopBody, Vec<View>) {
        let mut expression = Expression::default();
        let register = self.evaluate(&mut expression, id, None, root);
        expression.builder.finish(vec![register])
    }

    /// The register of `id` seen through `path`. At the root of a loop the value is computed even though it gets memory.
    fn evaluate(&mut self, expression: &mut Expression, id: ValueId, path: Path, root: bool) -> usize {
        if let Some(&register) = expression.known.get(&(id, path)) {
            return register;
        }
        let flow = self.flow;
        let (mut base, mut to_base) = (id, path);
        while flow.op(base).is_movement() && self.views[base].is_none() {
            to_base = Some(expression.step(Move::Value(base), to_base));
            base = flow.inputs(base)[0];
        }
        let inside = self.roles[base] == Role::Inline || (root && base == id);
        let register = match flow.op(base) {
            Op::Constant(value) => expression.builder.push(Instruction::Constant(*value)),
            op if inside => {
                let shape = flow.shape(base);
                let registers: Vec<usize> = flow
                    .inputs(base)
                    .iter()
                    .map(|&input| {
                        let path = match flow.shape(input) == shape {
                            true => to_base,
                            false => Some(expression.step(Move::Broadcast(base), to_base)),
                        };
                        self.evaluate(expression, input, path, false)
                    })
                    .collect();
                expression.builder.push(instruction(op, &registers))
            }
            _ => {
                let mut view = self.view(base);
                let mut next = to_base;
                while let Some(index) = next {
                    let (step, rest) = expression.paths[index];
                    view = match step {
                        Move::Value(movement) => self.moved(view, movement),
                        Move::Broadcast(value) => view.expand(flow.shape(value)),
                    };
                    next = rest;
                }
                expression.builder.load(view)
            }
        };
        expression.known.insert((id, path), register);
        register
    }
}

/// How a value reaches the loop's domain: an index into [`Expression::paths`], none for "as it is".
type Path = Option<usize>;

/// One change of view on the way to the loop's domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Move {
    /// As this movement does.
    Value(ValueId),
    /// Broadcast to the shape of this elementwise value.
    Broadcast(ValueId),
}

/// A loop's expression in the making.
#[derive(Default)]
struct Expression {
    builder: BodyBuilder,
    /// (the move nearest to the value, the rest of the path)
    paths: Vec<(Move, Path)>,
    known: BTreeMap<(ValueId, Path), usize>,
}

impl Expression {
    /// The path that makes one move and then follows another path.
    fn step(&mut self, step: Move, rest: Path) -> usize {
        if let Some(index) = self.paths.iter().position(|known| *known == (step, rest)) {
            return index;
        }
        self.paths.push((step, rest));
        self.paths.len() - 1
    }
}

/// The scalar instruction of an elementwise operator.
fn instruction(op: &Op, registers: &[usize]) -> Instruction {
    match (op, registers) {
        (Op::Unary(function), &[a]) => Instruction::Unary(*function, a),
        (Op::Binary(function), &[a, b]) => Instruction::Binary(*function, a, b),
        (Op::Greater, &[a, b]) => Instruction::Greater(a, b),
        (Op::Select, &[condition, a, b]) => Instruction::Select(condition, a, b),
        (Op::Cast(dtype), &[a]) => Instruction::Round(*dtype, a),
        _ => unreachable!("{op:?} is not elementwise"),
    }
}
