//! The reference device: the lowered graphs themselves, run by luminal's `execute()`, every operator by its plain meaning.
//!
//! Slow and simple; what every kernel and every pass is held against.

use std::collections::BTreeMap;

use llmc_compiler::graph::{Data, Graph, Tensor};
use llmc_compiler::op::{Op, Type};
use llmc_compiler::plan::DType;
use llmc_compiler::program::PersistentBuffer;

use super::{Device, DeviceError, HostTensor, ProgramId};

/// Graphs over states that live on the host. Its programs are the graphs, in order.
pub struct Reference {
    graphs: Vec<Graph>,
    states: BTreeMap<String, Tensor>,
    outputs: Vec<BTreeMap<String, Tensor>>,
}

impl Reference {
    /// States start at zero.
    pub fn new(persistent: &[PersistentBuffer], graphs: Vec<Graph>) -> Reference {
        let state = |buffer: &PersistentBuffer| {
            let elements = buffer.shape.iter().product::<u64>() as usize;
            let zeros = match buffer.dtype {
                DType::F32 | DType::Bf16 | DType::F16 => Tensor::f32(&buffer.shape, vec![0.0; elements]),
                DType::I32 => Tensor::i32(&buffer.shape, vec![0; elements]),
            };
            (buffer.name.clone(), zeros)
        };
        let outputs = graphs.iter().map(|_| BTreeMap::new()).collect();
        Reference { graphs, states: persistent.iter().map(state).collect(), outputs }
    }
}

/// The value of an input, in the shape the graph gives it.
fn input(name: &str, ty: &Type, given: HostTensor<'_>) -> Result<Tensor, DeviceError> {
    let (count, tensor) = match given {
        HostTensor::F32(values) => (values.len(), (ty.dtype == DType::F32).then(|| Data::F32(values.to_vec()))),
        HostTensor::I32(values) => (values.len(), (ty.dtype == DType::I32).then(|| Data::I32(values.to_vec()))),
    };
    match tensor {
        Some(data) if count as u64 == ty.elements() => Ok(Tensor { shape: ty.shape.clone(), data }),
        fits => {
            let given = if fits.is_some() { count as u64 } else { 0 };
            Err(DeviceError::Size { name: name.to_owned(), expected: ty.elements(), given })
        }
    }
}

fn unknown(name: &str) -> DeviceError {
    DeviceError::UnknownName(name.to_owned())
}

impl Device for Reference {
    fn describe(&self) -> String {
        "reference, 1 thread".to_owned()
    }

    fn write_state(&mut self, name: &str, values: &[f32]) -> Result<(), DeviceError> {
        let state = self.states.get_mut(name).ok_or_else(|| unknown(name))?;
        *state = input(name, &state.ty(), HostTensor::F32(values))?;
        Ok(())
    }

    fn fill_state(&mut self, name: &str, fill: &(dyn Fn(u64, &mut [f32]) + Sync)) -> Result<(), DeviceError> {
        let state = self.states.get_mut(name).ok_or_else(|| unknown(name))?;
        let expected = state.ty().elements();
        match &mut state.data {
            Data::F32(values) => {
                fill(0, values);
                Ok(())
            }
            Data::I32(_) | Data::Half(..) => Err(DeviceError::Size { name: name.to_owned(), expected, given: 0 }),
        }
    }

    fn read_state(&self, name: &str) -> Result<Vec<f32>, DeviceError> {
        self.states.get(name).map(Tensor::to_f32).ok_or_else(|| unknown(name))
    }

    fn read_state_part(&self, name: &str, start: u64, count: u64) -> Result<Vec<f32>, DeviceError> {
        let values = self.read_state(name)?;
        let part = values.get(start as usize..).and_then(|rest| rest.get(..count as usize));
        part.map(<[f32]>::to_vec).ok_or_else(|| DeviceError::Size {
            name: name.to_owned(),
            expected: values.len() as u64,
            given: start.saturating_add(count),
        })
    }

    fn zero_states(&mut self, prefix: &str) {
        for (_, state) in self.states.iter_mut().filter(|(name, _)| name.starts_with(prefix)) {
            match &mut state.data {
                Data::F32(values) | Data::Half(_, values) => values.fill(0.0),
                Data::I32(values) => values.fill(0),
            }
        }
    }

    fn run(&mut self, program: ProgramId, inputs: &[(&str, HostTensor<'_>)]) -> Result<(), DeviceError> {
        let graph = self.graphs.get_mut(program).ok_or_else(|| unknown(&format!("program {program}")))?;
        let mut values = BTreeMap::new();
        for id in graph.order() {
            let Op::Input { name, ty } = graph.op(id) else {
                continue;
            };
            let given = inputs.iter().find(|(given, _)| given == name);
            let (_, given) = given.ok_or_else(|| DeviceError::MissingInput(name.clone()))?;
            values.insert(name.clone(), input(name, ty, *given)?);
        }
        self.outputs[program] = graph.execute(&values, &mut self.states).map_err(DeviceError::Reference)?;
        Ok(())
    }

    fn read_output(&self, program: ProgramId, name: &str) -> Result<Vec<f32>, DeviceError> {
        let outputs = self.outputs.get(program).ok_or_else(|| unknown(&format!("program {program}")))?;
        outputs.get(name).map(Tensor::to_f32).ok_or_else(|| unknown(name))
    }
}
