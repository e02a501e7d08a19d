//! Runs a graph through luminal's own `execute()`: every operator computes its reference meaning.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use luminal::op::{InputTensor, Operator};
use luminal::shape::tracker::ShapeTracker;
use smallvec::SmallVec;

use super::{Graph, Id, Node, Target, reference};
use crate::op::{Op, Shape, Type};
use crate::plan::DType;

/// A value on the host.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// Its shape.
    pub shape: Shape,
    /// Its elements in row-major order.
    pub data: Data,
}

/// Elements of a [`Tensor`].
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)]
pub enum Data {
    F32(Vec<f32>),
    I32(Vec<i32>),
    /// Numbers that a 16-bit type has.
    Half(DType, Vec<f32>),
}

impl Tensor {
    /// A tensor of floats. The number of values must be that of the shape.
    pub fn f32(shape: &[u64], values: Vec<f32>) -> Tensor {
        debug_assert_eq!(shape.iter().product::<u64>(), values.len() as u64);
        Tensor { shape: Shape::from_slice(shape), data: Data::F32(values) }
    }

    /// A tensor of integers. The number of values must be that of the shape.
    pub fn i32(shape: &[u64], values: Vec<i32>) -> Tensor {
        debug_assert_eq!(shape.iter().product::<u64>(), values.len() as u64);
        Tensor { shape: Shape::from_slice(shape), data: Data::I32(values) }
    }

    /// A float.
    pub fn scalar(value: f32) -> Tensor {
        Tensor::f32(&[], vec![value])
    }

    /// The type of this value.
    pub fn ty(&self) -> Type {
        let dtype = match self.data {
            Data::F32(_) => DType::F32,
            Data::I32(_) => DType::I32,
            Data::Half(dtype, _) => dtype,
        };
        Type { shape: self.shape.clone(), dtype }
    }

    /// The elements as floats; integers are converted.
    pub fn to_f32(&self) -> Vec<f32> {
        match &self.data {
            Data::F32(values) | Data::Half(_, values) => values.clone(),
            Data::I32(values) => values.iter().map(|&value| value as f32).collect(),
        }
    }

    pub(super) fn fits(&self, ty: &Type) -> bool {
        let elements = match &self.data {
            Data::F32(values) | Data::Half(_, values) => values.len(),
            Data::I32(values) => values.len(),
        };
        self.ty() == *ty && elements as u64 == ty.elements()
    }
}

/// What travels along luminal's data edges: a value, or nothing once an operator has failed.
#[derive(Debug, Clone)]
struct Cargo(Option<Tensor>);

impl luminal::tensor::Data for Cargo {
    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
    fn as_any_mut(&mut self) -> &mut dyn std::any::Any {
        self
    }
}

/// The first failure of a run. luminal's operators cannot return an error, so all nodes of a graph share this slot.
pub(super) type Failure = Rc<RefCell<Option<String>>>;

/// A node equals itself only: states and random numbers must never be merged by their looks.
impl PartialEq for Node {
    fn eq(&self, other: &Node) -> bool {
        self.created == other.created && Rc::ptr_eq(&self.failure, &other.failure)
    }
}

impl Operator for Node {
    fn process(&mut self, inputs: Vec<(InputTensor<'_>, ShapeTracker)>) -> Vec<luminal::tensor::Tensor> {
        vec![luminal::tensor::Tensor::new(Cargo(self.value(&inputs)))]
    }
}

impl Node {
    /// The value, or nothing if this or an earlier operator failed.
    fn value(&self, inputs: &[(InputTensor<'_>, ShapeTracker)]) -> Option<Tensor> {
        if self.failure.borrow().is_some() {
            return None;
        }
        let operands: Option<SmallVec<[&Tensor; 6]>> =
            inputs.iter().map(|(input, _)| cargo(input.borrowed())).collect();
        match reference::evaluate(&self.op, &self.ty, &operands?) {
            Ok(value) => Some(value),
            Err(reason) => {
                let place = format!("{} {}", self.origin.path, self.origin.place);
                *self.failure.borrow_mut() = Some(format!("{reason} ({})", place.trim()));
                None
            }
        }
    }
}

fn cargo(tensor: &luminal::tensor::Tensor) -> Option<&Tensor> {
    tensor.data.as_any().downcast_ref::<Cargo>()?.0.as_ref()
}

impl Graph {
    /// Runs every operator's reference meaning and gives the results by name. Values whose target is a state are
    /// written into `state` when all have succeeded.
    ///
    /// # Errors
    /// A sentence if an input or state is missing or of another type, or if an operator fails (an id out of range);
    /// the states are then as before.
    pub fn execute(
        &mut self,
        inputs: &BTreeMap<String, Tensor>,
        state: &mut BTreeMap<String, Tensor>,
    ) -> Result<BTreeMap<String, Tensor>, String> {
        let values: Vec<Id> = self.outputs.iter().map(|(_, value)| *value).collect();
        let mut computed = self.evaluate(inputs, state, &values)?.into_iter();
        let mut results = BTreeMap::new();
        for ((target, _), value) in self.outputs.iter().zip(computed.by_ref()) {
            match target {
                Target::Result(name) => results.insert(name.clone(), value),
                Target::State(name) => state.insert(name.clone(), value),
            };
        }
        Ok(results)
    }

    /// The values of any nodes, by their reference meaning: what [`Graph::execute`] is made of, and a way to look at
    /// intermediate values.
    ///
    /// # Errors
    /// As [`Graph::execute`].
    pub fn evaluate(
        &mut self,
        inputs: &BTreeMap<String, Tensor>,
        state: &BTreeMap<String, Tensor>,
        values: &[Id],
    ) -> Result<Vec<Tensor>, String> {
        // Nothing of an earlier run may be left: luminal does not run a node whose tensor is there.
        self.storage.tensors.clear();
        self.storage.no_delete.clear();
        *self.failure.borrow_mut() = None;
        self.bind(inputs, state)?;
        self.storage.keep_tensors(values.to_vec());
        // luminal caches its order of nodes; compiling with no pass renews it.
        self.storage.compile((), ());
        self.storage.execute();
        let failure = self.failure.borrow_mut().take();
        let kept: Option<Vec<Tensor>> =
            values.iter().map(|&id| self.storage.get_tensor_ref(id, 0).and_then(cargo).cloned()).collect();
        self.storage.tensors.clear();
        self.storage.no_delete.clear();
        match failure {
            Some(reason) => Err(reason),
            None => kept.ok_or_else(|| "a value was not computed".to_owned()),
        }
    }

    /// Puts the caller's values where the input and state nodes would leave theirs.
    fn bind(&mut self, inputs: &BTreeMap<String, Tensor>, state: &BTreeMap<String, Tensor>) -> Result<(), String> {
        let ids: Vec<Id> = self.storage.graph.node_indices().collect();
        for id in ids {
            let node = self.node(id);
            let (kind, name, given) = match &node.op {
                Op::Input { name, .. } => ("input", name, inputs.get(name)),
                Op::State { name, .. } => ("state", name, state.get(name)),
                _ => continue,
            };
            let Some(tensor) = given else {
                return Err(format!("{kind} `{name}` is not given"));
            };
            if !tensor.fits(&node.ty) {
                return Err(format!("{kind} `{name}` is {}, the graph needs {}", tensor.ty(), node.ty));
            }
            let tensor = luminal::tensor::Tensor::new(Cargo(Some(tensor.clone())));
            self.storage.set_tensor(id, 0, tensor);
        }
        Ok(())
    }
}
