//! The reference device: luminal's own `execute()` over the plain meaning of every operator. Slow, and the oracle for all else.

use std::collections::{BTreeMap, BTreeSet};

use llmc_compiler::graph::{Graph, Tensor};
use llmc_compiler::op::{Op, Type};
use llmc_compiler::plan::DType;
use llmc_compiler::program::PersistentBuffer;

use super::{Device, DeviceError, HostTensor, ProgramId};

/// Runs graphs instead of programs.
pub struct Reference {
    graphs: Vec<Bound>,
    states: BTreeMap<String, Tensor>,
}

/// A graph, what it reads from the host, and the results of its last run.
struct Bound {
    graph: Graph,
    inputs: BTreeMap<String, Type>,
    results: BTreeMap<String, Tensor>,
}

impl Reference {
    /// All states at zero; program `i` is `graphs[i]`.
    pub fn new(persistent: &[PersistentBuffer], graphs: Vec<Graph>) -> Reference {
        let zeros = |state: &PersistentBuffer| Tensor::f32(&state.shape, vec![0.0; (state.bytes / 4) as usize]);
        Reference {
            graphs: graphs.into_iter().map(bind).collect(),
            states: persistent.iter().map(|state| (state.name.clone(), zeros(state))).collect(),
        }
    }

    fn bound(&self, program: ProgramId) -> Result<&Bound, DeviceError> {
        self.graphs.get(program).ok_or_else(|| DeviceError::UnknownName(format!("program {program}")))
    }
}

fn bind(graph: Graph) -> Bound {
    let inputs = graph
        .order()
        .into_iter()
        .filter_map(|id| match graph.op(id) {
            Op::Input { name, ty } => Some((name.clone(), ty.clone())),
            _ => None,
        })
        .collect();
    Bound { graph, inputs, results: BTreeMap::new() }
}

/// A host value as a tensor of the type that an input has.
fn tensor(name: &str, ty: &Type, values: HostTensor<'_>) -> Result<Tensor, DeviceError> {
    let given = match values {
        HostTensor::F32(values) => values.len(),
        HostTensor::I32(values) => values.len(),
    } as u64;
    match (ty.dtype, values) {
        (DType::F32, HostTensor::F32(values)) if given == ty.elements() => Ok(Tensor::f32(&ty.shape, values.to_vec())),
        (DType::I32, HostTensor::I32(values)) if given == ty.elements() => Ok(Tensor::i32(&ty.shape, values.to_vec())),
        _ => Err(DeviceError::Size { name: name.to_owned(), expected: ty.elements(), given }),
    }
}

impl Device for Reference {
    fn describe(&self) -> String {
        "reference (luminal's execute, one thread)".to_owned()
    }

    fn write_state(&mut self, name: &str, values: &[f32]) -> Result<(), DeviceError> {
        let unknown = || DeviceError::UnknownName(name.to_owned());
        let state = self.states.get_mut(name).ok_or_else(unknown)?;
        let ty = state.ty();
        *state = tensor(name, &ty, HostTensor::F32(values))?;
        Ok(())
    }

    fn read_state(&self, name: &str, start: u64, count: u64) -> Result<Vec<f32>, DeviceError> {
        let unknown = || DeviceError::UnknownName(name.to_owned());
        let values = self.states.get(name).ok_or_else(unknown)?.to_f32();
        let part = values.get(start as usize..).and_then(|rest| rest.get(..count as usize));
        part.map(<[f32]>::to_vec).ok_or_else(|| DeviceError::Size {
            name: name.to_owned(),
            expected: values.len() as u64,
            given: start.saturating_add(count),
        })
    }

    fn zero_states(&mut self, prefix: &str) {
        for (_, state) in self.states.iter_mut().filter(|(name, _)| name.starts_with(prefix)) {
            let ty = state.ty();
            *state = Tensor::f32(&ty.shape, vec![0.0; ty.elements() as usize]);
        }
    }

    fn run(&mut self, program: ProgramId, inputs: &[(&str, HostTensor<'_>)]) -> Result<(), DeviceError> {
        let wanted = self.bound(program)?.inputs.clone();
        let mut given = BTreeMap::new();
        for (name, values) in inputs {
            if let Some(ty) = wanted.get(*name) {
                given.insert((*name).to_owned(), tensor(name, ty, *values)?);
            }
        }
        let missing: BTreeSet<&String> = wanted.keys().filter(|name| !given.contains_key(*name)).collect();
        if let Some(name) = missing.first() {
            return Err(DeviceError::MissingInput((*name).clone()));
        }
        let bound = &mut self.graphs[program];
        bound.results = bound.graph.execute(&given, &mut self.states).map_err(DeviceError::Reference)?;
        Ok(())
    }

    fn read_output(&self, program: ProgramId, name: &str) -> Result<Vec<f32>, DeviceError> {
        let result = self.bound(program)?.results.get(name);
        result.map(Tensor::to_f32).ok_or_else(|| DeviceError::UnknownName(name.to_owned()))
    }
}
