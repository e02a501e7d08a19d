//! A step made ready to run: operands bound, sizes checked, loop bodies compiled.

use llmc_compiler::plan::Origin;
use llmc_compiler::program::{Kernel, Program, Step};

use super::bind::Memory;
use super::check::check;
use super::loop_norm::LoopNorm;
use super::loops::Loop;
use super::matmul::MatMul;
use super::norm::Norm;
use super::operand::Operands;
use super::pattern;
use super::pool::Pool;
use super::reduce::Reduce;
use super::window::Bound;
use super::{attention, cache, lookup, loss, optimizer, rotate, routed, select};
use crate::device::DeviceError;

/// What a step does, with whatever could be worked out before the first run.
#[derive(Debug)]
enum Prepared {
    Loop(Loop),
    LoopNorm(LoopNorm),
    Reduce(Reduce),
    MatMul(MatMul),
    Plain(Kernel),
}

/// A step made ready to run.
#[derive(Debug)]
pub struct Launch {
    bound: Bound,
    prepared: Prepared,
    origin: Origin,
}

impl Launch {
    /// Binds and checks a step.
    pub fn new(memory: &Memory, program: &Program, step: &Step) -> Result<Self, DeviceError> {
        let bound = memory.bind(program, step)?;
        let prepared = match &step.kernel {
            Kernel::Loop(body) => Loop::new(body, &bound).map(Prepared::Loop),
            Kernel::LoopNorm { body, centred, eps } => {
                LoopNorm::new(body, Norm { centred: *centred, eps: *eps }, &bound).map(Prepared::LoopNorm)
            }
            Kernel::Reduce { kind, axes, body } => Reduce::new(*kind, axes, body, &bound).map(Prepared::Reduce),
            Kernel::MatMul { accumulate } => MatMul::new(*accumulate, &bound).map(Prepared::MatMul),
            kernel => check(kernel, &bound).map(|()| Prepared::Plain(kernel.clone())),
        };
        let origin = step.origin.clone();
        let prepared = prepared.map_err(|reason| {
            let place = format!("{} at {} ({})", program.name, origin.path, origin.place);
            DeviceError::Program(format!("{place}: {reason}"))
        })?;
        Ok(Launch { bound, prepared, origin })
    }

    /// The operands' windows.
    pub fn bound(&self) -> &Bound {
        &self.bound
    }

    /// Runs the step.
    pub fn run(&self, operands: &mut Operands<'_>, pool: &Pool, partial: &mut Vec<f64>) -> Result<(), DeviceError> {
        match &self.prepared {
            Prepared::Loop(step) => step.run(operands, pool),
            Prepared::LoopNorm(step) => step.run(operands, pool),
            Prepared::Reduce(step) => step.run(operands, pool, partial),
            Prepared::MatMul(step) => step.run(operands, pool),
            Prepared::Plain(kernel) => self.run_plain(kernel, operands, pool, partial)?,
        }
        Ok(())
    }

    fn run_plain(
        &self,
        kernel: &Kernel,
        operands: &mut Operands<'_>,
        pool: &Pool,
        partial: &mut Vec<f64>,
    ) -> Result<(), DeviceError> {
        match kernel {
            Kernel::Loop(_) | Kernel::LoopNorm { .. } | Kernel::Reduce { .. } | Kernel::MatMul { .. } => {}
            Kernel::Gather => lookup::gather(operands, pool, &self.origin)?,
            Kernel::ScatterAdd { accumulate } => lookup::scatter_add(operands, pool, *accumulate, &self.origin)?,
            Kernel::TopK { .. } => select::top_k(operands, pool),
            Kernel::Pick => select::pick(operands, pool, &self.origin)?,
            Kernel::Place => select::place(operands, pool, &self.origin)?,
            Kernel::RoutedMatMul => routed::matmul(operands, pool, &self.origin)?,
            Kernel::RoutedOuter { accumulate } => routed::outer(operands, pool, *accumulate, &self.origin)?,
            Kernel::Softmax => loss::softmax(operands, pool),
            Kernel::LayerNorm { eps } => Norm { centred: true, eps: *eps }.forward(operands, pool),
            Kernel::LayerNormGrad { accumulate, eps, writes } => {
                Norm { centred: true, eps: *eps }.gradient(*accumulate, *writes, operands, pool, partial)
            }
            Kernel::RmsNorm { eps } => Norm { centred: false, eps: *eps }.forward(operands, pool),
            Kernel::RmsNormGrad { accumulate, eps, writes: [value, scale] } => {
                let writes = [*value, *scale, false];
                Norm { centred: false, eps: *eps }.gradient(*accumulate, writes, operands, pool, partial)
            }
            Kernel::Rotate { rotary, inverse } => rotate::rotate(operands, pool, rotary, *inverse),
            Kernel::Attention { settings, stats } => attention::attention(operands, pool, settings, *stats),
            Kernel::AttentionGrad { settings, writes } => attention::attention_grad(operands, pool, settings, writes),
            Kernel::CachedAttention(settings) => {
                let (added, capacity) = (operands.read(0).shape[1], operands.read(1).shape[1]);
                let lengths = cache::Lengths::new(operands, 3, added, capacity)?;
                attention::cached_attention(operands, pool, settings, lengths);
            }
            Kernel::CacheWrite => cache::write(operands, pool)?,
            Kernel::CrossEntropy(plan) => loss::cross_entropy(operands, pool, plan, &self.origin)?,
            Kernel::CrossEntropyGrad { plan, loss } => {
                loss::cross_entropy_grad(operands, pool, plan, *loss, &self.origin)?;
            }
            Kernel::Pattern(pattern) => pattern::fill(operands, pool, pattern),
            Kernel::SumSquares => optimizer::sum_squares(operands, pool, partial),
            Kernel::LearningRate { peak, schedule } => optimizer::learning_rate(operands, *peak, schedule),
            Kernel::AdamW(constants) => optimizer::adamw(operands, pool, constants),
            Kernel::Random { function, seed, site } => optimizer::random(operands, pool, *function, *seed, *site),
        }
        Ok(())
    }
}
