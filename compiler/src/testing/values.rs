//! Values for the inputs and states of a graph.

use std::collections::BTreeMap;

use crate::graph::{Data, Graph, Tensor};
use crate::op::{Op, Type};
use crate::plan::DType;
use crate::random::{Stream, stream_of};

/// Values by name.
pub(crate) type Values = BTreeMap<String, Tensor>;

/// Plausible values for every input and state of a graph; a name always gets the same.
pub(crate) fn values(graph: &Graph) -> (Values, Values) {
    let (mut inputs, mut states) = (Values::new(), Values::new());
    for id in graph.order() {
        match graph.op(id) {
            Op::Input { name, ty } => inputs.insert(name.clone(), value(name, ty)),
            Op::State { name, ty } => states.insert(name.clone(), value(name, ty)),
            _ => None,
        };
    }
    (inputs, states)
}

fn value(name: &str, ty: &Type) -> Tensor {
    let count = ty.shape.iter().product::<u64>();
    let stream = Stream::new(1, stream_of(name));
    if ty.dtype == DType::I32 {
        let last = ty.shape[1];
        let integer = |index: u64| match name {
            "positions" => (index % last) as i32,
            "documents" => i32::from(index % last >= last / 2),
            "targets" if index % 4 == 3 => -100,
            _ => (stream.uniform(index) * 11.0) as i32,
        };
        return Tensor::i32(&ty.shape, (0..count).map(integer).collect());
    }
    let float = |index: u64| match name {
        "loss_scale" => 0.125,
        "step" => 3.0,
        "length" => 0.0,
        _ if name.starts_with("second/") => stream.normal(index).powi(2) * 0.01,
        _ => stream.normal(index) * 0.3,
    };
    Tensor::f32(&ty.shape, (0..count).map(float).collect())
}

/// Panics unless two sets of values agree: relative to the largest element of each tensor.
pub(crate) fn assert_close(expected: &Values, found: &Values, tolerance: f32) {
    assert_eq!(expected.keys().collect::<Vec<_>>(), found.keys().collect::<Vec<_>>());
    for (name, expected) in expected {
        let found = &found[name];
        assert_eq!(expected.shape, found.shape, "{name}");
        match (&expected.data, &found.data) {
            (Data::F32(a), Data::F32(b)) => {
                let largest = a.iter().fold(1e-3f32, |most, value| most.max(value.abs()));
                for (index, (a, b)) in a.iter().zip(b).enumerate() {
                    let difference = (a - b).abs() / largest;
                    assert!(difference <= tolerance, "{name}[{index}]: {a} expected, {b} found");
                }
            }
            (a, b) => assert_eq!(a, b, "{name}"),
        }
    }
}
