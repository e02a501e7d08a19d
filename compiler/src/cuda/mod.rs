//! Programs printed as CUDA C: a pure function of the [`Program`], so that every kernel can be read, compared and compiled
//! on a machine without a card.
//!
//! What differs from step to step (sizes, strides, constants) is printed as a struct of compile-time constants, or as the
//! straight-line code of a loop; what stays the same is a library of templates (`library/*.cuh`). Steps that print alike
//! share one function, whose operands are given at launch.

mod attention;
mod attention_mma;
mod expression;
mod lookup;
mod loops;
mod matmul;
mod norm;
mod optimizer;
mod reduce;
mod routing;
mod rows;
mod settings;
mod writer;

use std::fmt;

pub use matmul::{Axis, Product};

use crate::plan::Origin;
use crate::program::{Kernel, Program, Region};
use crate::schedule::Operand;

/// The templates that every module begins with.
const LIBRARY: [(&str, &str); 12] = [
    ("halves", include_str!("library/halves.cuh")),
    ("prelude", include_str!("library/prelude.cuh")),
    ("reduce", include_str!("library/reduce.cuh")),
    ("rows", include_str!("library/rows.cuh")),
    ("matmul", include_str!("library/matmul.cuh")),
    ("lookup", include_str!("library/lookup.cuh")),
    ("routing", include_str!("library/routing.cuh")),
    ("optimizer", include_str!("library/optimizer.cuh")),
    ("attention", include_str!("library/attention.cuh")),
    ("tensor", include_str!("library/tensor.cuh")),
    ("attention_mma", include_str!("library/attention_mma.cuh")),
    ("attention_mma_gradient", include_str!("library/attention_mma_gradient.cuh")),
];

/// Some programs as CUDA C, with what a device has to launch for each of them.
#[derive(Debug, Clone, Default)]
pub struct Module {
    /// Functions, each of its own text.
    pub functions: Vec<Function>,
    /// For each program its launches in order.
    pub programs: Vec<Vec<Launch>>,
    /// Words that were known before anything ran, at [`Argument::Data`].
    pub data: Vec<Vec<u32>>,
    /// Bytes that launches share for what goes from one to the next.
    pub workspace_bytes: u64,
}

/// One `__global__` function.
#[derive(Debug, Clone)]
pub struct Function {
    /// Its name in the source.
    pub name: String,
    /// Its text; `@` stands for the name.
    text: String,
    /// Where in the recipe its first launch comes from.
    pub origin: Origin,
    /// Launches that share it.
    pub launches: usize,
}

/// One launch of a function.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The step of the program that it belongs to.
    pub step: usize,
    /// Which of [`Module::functions`].
    pub function: usize,
    /// Blocks in two directions.
    pub grid: [u32; 2],
    /// Threads of a block.
    pub threads: u32,
    /// Bytes that a block shares beyond what its function declares.
    pub shared_bytes: u32,
    /// The function's arguments.
    pub arguments: Vec<Argument>,
    /// The matrix product that it is, for a library that has a faster one.
    pub product: Option<Product>,
    /// What such a library can do with it.
    pub sums: Option<Sums>,
}

/// The sums over `K` of an operand of a product `[M, K] x [K, N]`, which another step computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sums {
    /// The operand.
    pub of: Operand,
    /// Where they go: f32, side by side.
    pub to: Argument,
    /// The step that computes them.
    pub step: usize,
}

/// An argument of a launch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Argument {
    /// An address: so many bytes from the start of a region.
    Memory(Region, u64),
    /// An address in the workspace.
    Workspace(u64),
    /// The address of one of [`Module::data`].
    Data(usize),
    /// The address of two words, zero at first: the number of the step that failed plus one, and what did not fit.
    Fault,
    /// A 32-bit number.
    Int(i32),
    /// A 64-bit number.
    Word(u64),
    /// No address.
    Null,
}

/// A step that has no kernel on this device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsupported {
    /// What is missing.
    pub reason: String,
    /// Where in the recipe it comes from.
    pub origin: Origin,
}

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at `{}` ({})", self.reason, self.origin.path, self.origin.place)
    }
}

impl Module {
    /// Prints programs that share one persistent and one scratch region.
    ///
    /// # Errors
    /// A step that has no kernel on this device.
    pub fn print(programs: &[&Program]) -> Result<Module, Unsupported> {
        let mut writer = writer::Writer::default();
        for program in programs {
            writer.begin_program();
            for (number, step) in program.steps.iter().enumerate() {
                let mut at = writer.at(program, step, number);
                let printed = match &step.kernel {
                    Kernel::Loop(body) => loops::print(&mut at, body),
                    Kernel::Reduce { kind, axes, body } => reduce::print(&mut at, *kind, axes, body),
                    Kernel::MatMul { accumulate } => matmul::print(&mut at, *accumulate),
                    Kernel::Gather => lookup::gather(&mut at),
                    Kernel::ScatterAdd { accumulate } => lookup::scatter_add(&mut at, *accumulate),
                    Kernel::TopK { count } => routing::top_k(&mut at, *count),
                    Kernel::Pick => routing::pick(&mut at),
                    Kernel::Place => routing::place(&mut at),
                    Kernel::RoutedMatMul => routing::matmul(&mut at),
                    Kernel::RoutedOuter { accumulate } => routing::outer(&mut at, *accumulate),
                    Kernel::Softmax => rows::softmax(&mut at),
                    Kernel::LayerNorm { eps } => norm::forward(&mut at, true, *eps),
                    Kernel::RmsNorm { eps } => norm::forward(&mut at, false, *eps),
                    Kernel::LoopNorm { body, centred, eps } => norm::after_loop(&mut at, body, *centred, *eps),
                    Kernel::LayerNormGrad { accumulate, eps, writes } => {
                        norm::gradient(&mut at, true, *eps, *accumulate, *writes)
                    }
                    Kernel::RmsNormGrad { accumulate, eps, writes: [value, scale] } => {
                        norm::gradient(&mut at, false, *eps, *accumulate, [*value, *scale, false])
                    }
                    Kernel::Rotate { rotary, inverse } => lookup::rotate(&mut at, rotary, *inverse),
                    Kernel::Attention { settings, stats } => attention::forward(&mut at, settings, *stats),
                    Kernel::AttentionGrad { settings, writes } => attention::gradient(&mut at, settings, writes),
                    Kernel::CachedAttention(settings) => attention::cached(&mut at, settings),
                    Kernel::CacheWrite => lookup::cache_write(&mut at),
                    Kernel::CrossEntropy(plan) => rows::cross_entropy(&mut at, plan),
                    Kernel::CrossEntropyGrad { plan, loss } => rows::cross_entropy_gradient(&mut at, plan, *loss),
                    Kernel::Pattern(pattern) => lookup::pattern(&mut at, pattern),
                    Kernel::SumSquares => optimizer::sum_squares(&mut at),
                    Kernel::LearningRate { peak, schedule } => optimizer::learning_rate(&mut at, *peak, schedule),
                    Kernel::AdamW(constants) => optimizer::adamw(&mut at, constants),
                    Kernel::Random { function, seed, site } => optimizer::random(&mut at, *function, *seed, *site),
                };
                printed.map_err(|reason| Unsupported { reason, origin: step.origin.clone() })?;
            }
        }
        Ok(writer.finish())
    }

    /// The whole source: the library, then the functions.
    pub fn source(&self) -> String {
        let mut text = String::new();
        for (name, library) in LIBRARY {
            text.push_str(&format!("// ---- {name}.cuh\n{library}\n"));
        }
        text.push_str("// ---- kernels\n");
        text.push_str(&self.functions_source());
        text
    }

    /// The functions without the library.
    pub fn functions_source(&self) -> String {
        self.functions.iter().map(Function::source).collect::<Vec<_>>().join("\n")
    }
}

impl Function {
    /// Its text, with where it comes from.
    fn source(&self) -> String {
        let Function { name, text, origin, launches } = self;
        let more = match launches {
            1 => String::new(),
            more => format!(", and {} more", more - 1),
        };
        format!("// {} ({}){more}\n{}", origin.path, origin.place, text.replace('@', name))
    }
}
