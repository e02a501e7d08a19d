//! Runs a program through luminal: its kernels are the nodes of a luminal graph, joined by schedule edges.
//!
//! No tensor passes along the edges (the operands lie in the arena), so luminal's `execute` costs a few nanoseconds
//! a node. `process` cannot fail, so the first error is kept in a slot that all nodes share; later nodes return at once.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

use luminal::op::{InputTensor, Operator};
use luminal::prelude::{Dependency, Graph, Tensor};
use luminal::shape::tracker::ShapeTracker;

/// What runs step `i` of the program.
type Launch = Rc<dyn Fn(usize) -> Result<(), String>>;

/// Bytes that a step takes in the graph: mostly its edge, which has room for the shape of a tensor.
pub const STEP_BYTES: usize = size_of::<Dependency>() + 512;

/// A program bound to a device, as a luminal graph.
pub struct Execution {
    graph: Graph,
    failure: Rc<RefCell<Option<String>>>,
}

impl Execution {
    /// The steps `0..steps`, run in this order by `launch`.
    pub fn new(steps: usize, launch: Launch) -> Execution {
        let failure = Rc::new(RefCell::new(None));
        let mut graph = Graph::new();
        let mut previous = None;
        for index in 0..steps {
            let node =
                graph.add_op(Launched { index, launch: Rc::clone(&launch), failure: Rc::clone(&failure) }).finish();
            if let Some(previous) = previous {
                graph.add_schedule_dependency(previous, node);
            }
            previous = Some(node);
        }
        graph.compile((), ());
        Execution { graph, failure }
    }

    /// Runs every step once.
    ///
    /// # Errors
    /// What the first failing step said; the steps after it did not run.
    pub fn run(&mut self) -> Result<(), String> {
        *self.failure.borrow_mut() = None;
        self.graph.execute();
        match self.failure.borrow_mut().take() {
            Some(failure) => Err(failure),
            None => Ok(()),
        }
    }
}

/// One step of the program.
struct Launched {
    index: usize,
    launch: Launch,
    failure: Rc<RefCell<Option<String>>>,
}

impl Operator for Launched {
    fn process(&mut self, _: Vec<(InputTensor, ShapeTracker)>) -> Vec<Tensor> {
        if self.failure.borrow().is_none() {
            let result = (self.launch)(self.index);
            *self.failure.borrow_mut() = result.err();
        }
        Vec::new()
    }
}

impl PartialEq for Launched {
    fn eq(&self, other: &Self) -> bool {
        self.index == other.index && Rc::ptr_eq(&self.launch, &other.launch)
    }
}

impl fmt::Debug for Launched {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "step {}", self.index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorder(fails_at: Option<usize>) -> (Rc<RefCell<Vec<usize>>>, Launch) {
        let seen = Rc::new(RefCell::new(Vec::new()));
        let record = Rc::clone(&seen);
        let launch: Launch = Rc::new(move |step| {
            record.borrow_mut().push(step);
            match fails_at {
                Some(failing) if failing == step => Err(format!("step {step} is broken")),
                _ => Ok(()),
            }
        });
        (seen, launch)
    }

    #[test]
    fn steps_run_in_order_every_time() {
        let (seen, launch) = recorder(None);
        let mut execution = Execution::new(100, launch);
        assert_eq!(execution.run(), Ok(()));
        assert_eq!(execution.run(), Ok(()));
        let twice: Vec<usize> = (0..100).chain(0..100).collect();
        assert_eq!(*seen.borrow(), twice);
    }

    #[test]
    fn the_first_failure_stops_the_run_and_is_told() {
        let (seen, launch) = recorder(Some(3));
        let mut execution = Execution::new(10, launch);
        assert_eq!(execution.run(), Err("step 3 is broken".to_owned()));
        assert_eq!(*seen.borrow(), [0, 1, 2, 3]);
        assert_eq!(execution.run(), Err("step 3 is broken".to_owned()));
    }
}
