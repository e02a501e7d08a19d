//! Collects functions and launches: steps that print alike share a function.

use std::collections::BTreeMap;

use super::settings::Settings;
use super::{Argument, Function, Launch, Module, Product, Sums};
use crate::plan::DType;
use crate::program::{Program, Step, View};
use crate::schedule::summed_operand;

/// Threads of a block, where nothing speaks for another number.
pub(super) const THREADS: u64 = 256;
/// Blocks of the second direction at most.
const MOST_ACROSS: u64 = 65_535;

/// A module in the making.
#[derive(Debug, Default)]
pub(super) struct Writer {
    module: Module,
    known: BTreeMap<(&'static str, String), usize>,
}

/// A step being printed.
pub(super) struct At<'w> {
    writer: &'w mut Writer,
    program: &'w Program,
    /// The step.
    pub step: &'w Step,
    number: usize,
    /// Bytes of the workspace taken by this step.
    workspace: u64,
}

/// The parameters of a function with the arguments of one launch.
#[derive(Debug, Default)]
pub(super) struct Parameters {
    declarations: Vec<String>,
    names: Vec<String>,
    arguments: Vec<Argument>,
}

impl Writer {
    /// The next program's launches follow.
    pub fn begin_program(&mut self) {
        self.module.programs.push(Vec::new());
    }

    /// The place of a step.
    pub fn at<'w>(&'w mut self, program: &'w Program, step: &'w Step, number: usize) -> At<'w> {
        At { writer: self, program, step, number, workspace: 0 }
    }

    /// What was collected.
    pub fn finish(self) -> Module {
        self.module
    }

    fn function(&mut self, kind: &'static str, text: String, step: &Step) -> usize {
        let functions = &mut self.module.functions;
        let next = functions.len();
        let function = *self.known.entry((kind, text.clone())).or_insert(next);
        if function == next {
            let (name, origin) = (format!("{kind}_{next}"), step.origin.clone());
            functions.push(Function { name, text, origin, launches: 0 });
        }
        functions[function].launches += 1;
        function
    }
}

impl At<'_> {
    /// The step's read `index`.
    ///
    /// # Errors
    /// If there is none: the program is broken.
    pub fn read(&self, index: usize) -> Result<View, String> {
        self.step.reads.get(index).cloned().ok_or_else(|| format!("{} without read {index}", self.step.kernel.name()))
    }

    /// The step's write `index`.
    ///
    /// # Errors
    /// As [`At::read`].
    pub fn write(&self, index: usize) -> Result<View, String> {
        self.step.writes.get(index).cloned().ok_or_else(|| format!("{} without write {index}", self.step.kernel.name()))
    }

    /// The type of a view's elements.
    pub fn dtype(&self, view: &View) -> DType {
        self.program.buffers[view.buffer].dtype
    }

    /// Whether a view's elements are whole numbers.
    pub fn is_integer(&self, view: &View) -> bool {
        self.dtype(view) == DType::I32
    }

    /// Whether runs of so many elements of a view, counted from its first, may be read at once.
    pub fn is_aligned(&self, view: &View, run: u64) -> bool {
        let buffer = &self.program.buffers[view.buffer];
        (buffer.offset / buffer.dtype.bytes() + view.offset).is_multiple_of(run)
    }

    /// Takes bytes of the workspace for this step.
    pub fn workspace(&mut self, bytes: u64) -> u64 {
        let start = self.workspace;
        self.workspace += bytes.next_multiple_of(256);
        let module = &mut self.writer.module;
        module.workspace_bytes = module.workspace_bytes.max(self.workspace);
        start
    }

    /// Adds words that are known now.
    pub fn data(&mut self, words: Vec<u32>) -> usize {
        let data = &mut self.writer.module.data;
        let known = data.iter().position(|known| *known == words);
        known.unwrap_or_else(|| {
            data.push(words);
            data.len() - 1
        })
    }

    /// An operand, of its buffer's type.
    pub fn operand(&self, parameters: &mut Parameters, name: &str, view: &View) {
        self.typed(parameters, &format!("const {} *", type_name(self.dtype(view))), name, view);
    }

    /// An operand that is written.
    pub fn result(&self, parameters: &mut Parameters, name: &str, view: &View) {
        self.typed(parameters, &format!("{} *", type_name(self.dtype(view))), name, view);
    }

    fn typed(&self, parameters: &mut Parameters, kind: &str, name: &str, view: &View) {
        parameters.push(kind, name, self.address(view));
    }

    /// The two words that tell a fault, and the step's number.
    pub fn fault(&self, parameters: &mut Parameters) {
        parameters.push("int *", "fault", Argument::Fault);
        parameters.push("int ", "step", Argument::Int(self.number as i32));
    }

    /// Launches a template of the library.
    pub fn template(
        &mut self,
        kind: &'static str,
        template: &str,
        settings: &Settings,
        threads: u64,
        grid: [u64; 2],
        parameters: Parameters,
    ) -> Result<(), String> {
        let call = format!("    {template}<@_settings>({});\n", parameters.names.join(", "));
        let body = format!("{{\n{call}}}\n");
        self.launch(kind, &settings.text(), &body, threads, grid, parameters)
    }

    /// Launches a function of this body.
    pub fn launch(
        &mut self,
        kind: &'static str,
        before: &str,
        body: &str,
        threads: u64,
        grid: [u64; 2],
        parameters: Parameters,
    ) -> Result<(), String> {
        let Parameters { declarations, arguments, .. } = parameters;
        let text = format!(
            "{before}extern \"C\" __global__ void __launch_bounds__({threads}, 1) @({}) {body}",
            declarations.join(", ")
        );
        let blocks = u32::try_from(grid[0]).ok().filter(|blocks| *blocks <= i32::MAX as u32);
        let (Some(blocks), true) = (blocks, grid[1] <= MOST_ACROSS) else {
            return Err(format!("{} of {} x {} blocks is too large for a card", kind, grid[0], grid[1]));
        };
        let function = self.writer.function(kind, text, self.step);
        let launch = Launch {
            step: self.number,
            function,
            grid: [blocks, grid[1] as u32],
            threads: threads as u32,
            shared_bytes: 0,
            arguments,
            product: None,
            sums: None,
        };
        // A program was begun before its first step.
        if let Some(program) = self.writer.module.programs.last_mut() {
            program.push(launch);
        }
        Ok(())
    }

    /// Says which matrix product the last launch is.
    pub fn is_product(&mut self, product: Product) {
        let sums = self.sums_before();
        if let Some(launch) = self.last_launch() {
            (launch.product, launch.sums) = (Some(product), sums);
        }
    }

    /// What the step before this one, a product, adds up of its operands.
    fn sums_before(&self) -> Option<Sums> {
        let step = self.number.checked_sub(1)?;
        let before = &self.program.steps[step];
        let of = summed_operand(before, self.step)?;
        let to = &before.writes[0];
        (self.dtype(to) == DType::F32).then(|| Sums { of, to: self.address(to), step })
    }

    /// Where a view begins.
    fn address(&self, view: &View) -> Argument {
        let buffer = &self.program.buffers[view.buffer];
        Argument::Memory(buffer.region, buffer.offset + buffer.dtype.bytes() * view.offset)
    }

    /// Says how many bytes the blocks of the last launch share beyond what they declare.
    pub fn shares(&mut self, bytes: u64) {
        if let Some(launch) = self.last_launch() {
            launch.shared_bytes = bytes as u32;
        }
    }

    fn last_launch(&mut self) -> Option<&mut Launch> {
        self.writer.module.programs.last_mut()?.last_mut()
    }
}

/// What a type is called in C.
pub(super) fn type_name(dtype: DType) -> &'static str {
    match dtype {
        DType::F32 => "float",
        DType::I32 => "int",
        DType::Bf16 => "bf16",
        DType::F16 => "f16",
    }
}

impl Parameters {
    /// A parameter of any type.
    pub fn push(&mut self, kind: &str, name: &str, argument: Argument) {
        self.declarations.push(format!("{kind}{name}"));
        self.names.push(name.to_owned());
        self.arguments.push(argument);
    }

    /// A parameter that is not there.
    pub fn absent(&mut self, kind: &str, name: &str) {
        self.push(kind, name, Argument::Null);
    }
}
