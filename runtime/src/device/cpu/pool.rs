//! A fixed set of threads that share out numbered tasks.
//!
//! What a task computes depends on its number alone, never on the thread or on how many there are:
//! that is what makes results bit-identical for any thread count.
#![allow(unsafe_code)]

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use super::scratch::Scratch;
use crate::device::DeviceError;

/// Rounds of waiting awake before a thread goes to sleep, some tens of microseconds.
const SPINS: usize = 4_000;

/// An operand that can be handed out in pieces.
///
/// # Safety
/// Pieces of different tasks never share memory that one of them writes.
pub unsafe trait Partition: Sync {
    /// What a task gets.
    type Piece;

    /// The piece of task `task`.
    ///
    /// # Safety
    /// At most one piece of a task is alive at a time.
    unsafe fn piece(&self, task: usize) -> Self::Piece;
}

// SAFETY: nothing is shared.
unsafe impl Partition for () {
    type Piece = ();
    unsafe fn piece(&self, _: usize) {}
}

// SAFETY: as safe as what is inside.
unsafe impl<P: Partition> Partition for Option<P> {
    type Piece = Option<P::Piece>;
    unsafe fn piece(&self, task: usize) -> Self::Piece {
        // SAFETY: the caller's promise.
        self.as_ref().map(|part| unsafe { part.piece(task) })
    }
}

macro_rules! partition_tuple {
    ($($name:ident $index:tt),*) => {
        // SAFETY: as safe as the parts, which are different operands.
        unsafe impl<$($name: Partition),*> Partition for ($($name,)*) {
            type Piece = ($($name::Piece,)*);
            unsafe fn piece(&self, task: usize) -> Self::Piece {
                // SAFETY: the caller's promise.
                unsafe { ($(self.$index.piece(task),)*) }
            }
        }
    };
}
partition_tuple!(A 0, B 1);
partition_tuple!(A 0, B 1, C 2);
partition_tuple!(A 0, B 1, C 2, D 3);

/// Equal runs of a slice, the last perhaps shorter.
pub struct Runs<'a, T> {
    pointer: *mut T,
    length: usize,
    run: usize,
    owner: std::marker::PhantomData<&'a mut [T]>,
}

impl<'a, T> Runs<'a, T> {
    /// Task `i` gets `values[i * run..][..run]`.
    pub fn new(values: &'a mut [T], run: usize) -> Self {
        Runs { pointer: values.as_mut_ptr(), length: values.len(), run, owner: std::marker::PhantomData }
    }
}

// SAFETY: it stands for a `&mut [T]`, of which only disjoint pieces are handed out.
unsafe impl<T: Send> Sync for Runs<'_, T> {}
// SAFETY: the runs of different tasks do not overlap.
unsafe impl<'a, T: Send> Partition for Runs<'a, T> {
    type Piece = &'a mut [T];
    unsafe fn piece(&self, task: usize) -> &'a mut [T] {
        let start = (task * self.run).min(self.length);
        let length = self.run.min(self.length - start);
        // SAFETY: within the slice, and no other task's run.
        unsafe { std::slice::from_raw_parts_mut(self.pointer.add(start), length) }
    }
}

/// The task function with its lifetime erased.
#[derive(Clone, Copy)]
struct Job {
    body: *const (dyn Fn(usize, &mut Scratch) + Sync),
    tasks: usize,
}
// SAFETY: the function is `Sync`, and `Pool::run_erased` keeps it alive until no thread is at it.
unsafe impl Send for Job {}

#[derive(Default)]
struct State {
    /// The present job; gone once its tasks are all taken.
    job: Option<Job>,
    stop: bool,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    start: Condvar,
    done: Condvar,
    /// Number of the present job; changes under the lock.
    generation: AtomicU64,
    /// Workers at the present job; grows under the lock.
    active: AtomicUsize,
    /// The next task to be taken.
    next: AtomicUsize,
    panicked: AtomicBool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes tasks until none is left.
    fn work(&self, job: Job, scratch: &mut Scratch) {
        // SAFETY: `run_erased` does not return before the last thread at this job has finished.
        let body = unsafe { &*job.body };
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            loop {
                let task = self.next.fetch_add(1, Ordering::Relaxed);
                if task >= job.tasks {
                    break;
                }
                body(task, scratch);
            }
        }));
        if outcome.is_err() {
            self.panicked.store(true, Ordering::Relaxed);
        }
    }
}

/// The threads, the calling one included.
pub struct Pool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    scratch: Mutex<Scratch>,
}

impl Pool {
    /// Starts `threads - 1` threads; the caller is the last one.
    pub fn new(threads: usize) -> Result<Self, DeviceError> {
        let shared = Arc::new(Shared::default());
        let mut pool = Pool { shared, workers: Vec::new(), scratch: Mutex::default() };
        for index in 1..threads.max(1) {
            let shared = Arc::clone(&pool.shared);
            let worker = std::thread::Builder::new()
                .name(format!("llmc-{index}"))
                .spawn(move || serve(&shared))
                .map_err(|error| DeviceError::Threads(error.to_string()))?;
            pool.workers.push(worker);
        }
        Ok(pool)
    }

    /// Number of threads.
    pub fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Calls `body` once for every task, each with its piece of `parts` and its thread's scratch memory.
    pub fn run<P: Partition>(&self, tasks: usize, parts: P, body: impl Fn(usize, P::Piece, &mut Scratch) + Sync) {
        self.run_erased(tasks, &|task, scratch| {
            // SAFETY: every task number is taken once, so its piece is alive once.
            body(task, unsafe { parts.piece(task) }, scratch);
        });
    }

    fn run_erased(&self, tasks: usize, body: &(dyn Fn(usize, &mut Scratch) + Sync)) {
        let mut scratch = self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        if tasks <= 1 || self.workers.is_empty() {
            (0..tasks).for_each(|task| body(task, &mut scratch));
            return;
        }
        // SAFETY: only the lifetime changes; below, the job is taken back and its last thread waited for.
        let body: *const (dyn Fn(usize, &mut Scratch) + Sync) = unsafe {
            std::mem::transmute::<
                *const (dyn Fn(usize, &mut Scratch) + Sync + '_),
                *const (dyn Fn(usize, &mut Scratch) + Sync + 'static),
            >(body)
        };
        let job = Job { body, tasks };
        let shared = &*self.shared;
        {
            let mut state = shared.lock();
            shared.next.store(0, Ordering::Relaxed);
            shared.generation.fetch_add(1, Ordering::Release);
            state.job = Some(job);
        }
        shared.start.notify_all();
        shared.work(job, &mut scratch);
        // A worker that wakes up only now has nothing left to do, and is not waited for.
        shared.lock().job = None;
        spin_while(|| shared.active.load(Ordering::Acquire) > 0);
        let mut state = shared.lock();
        while shared.active.load(Ordering::Acquire) > 0 {
            state = shared.done.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        drop(state);
        if shared.panicked.swap(false, Ordering::Relaxed) {
            drop(scratch);
            resume_unwind(Box::new("a task of a kernel panicked"));
        }
    }
}

/// A worker's life: wait for a job, help with it, say so.
fn serve(shared: &Shared) {
    let mut scratch = Scratch::default();
    let mut seen = 0;
    loop {
        spin_while(|| shared.generation.load(Ordering::Acquire) == seen);
        let mut state = shared.lock();
        while shared.generation.load(Ordering::Acquire) == seen && !state.stop {
            state = shared.start.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.stop {
            return;
        }
        seen = shared.generation.load(Ordering::Acquire);
        let Some(job) = state.job else { continue };
        shared.active.fetch_add(1, Ordering::AcqRel);
        drop(state);
        shared.work(job, &mut scratch);
        if shared.active.fetch_sub(1, Ordering::AcqRel) == 1 {
            // Under the lock, so that the caller is either not asleep yet or hears it.
            drop(shared.lock());
            shared.done.notify_one();
        }
    }
}

/// Waits awake for a short time: most waits are shorter than going to sleep.
fn spin_while(waiting: impl Fn() -> bool) {
    for _ in 0..SPINS {
        if !waiting() {
            return;
        }
        std::hint::spin_loop();
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.lock().stop = true;
        self.shared.start.notify_all();
        for worker in self.workers.drain(..) {
            // A worker catches every panic, so there is nothing to hear from it.
            let _ = worker.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_runs_once_on_its_own_piece() {
        for threads in [1, 2, 3, 7] {
            let pool = Pool::new(threads).unwrap();
            for round in 0..50 {
                let mut values = vec![0u32; 1003];
                pool.run(11, Runs::new(&mut values, 100), |task, piece, _| {
                    for value in piece {
                        *value += task as u32 + round;
                    }
                });
                for (index, value) in values.iter().enumerate() {
                    assert_eq!(*value, (index / 100) as u32 + round);
                }
            }
        }
    }

    #[test]
    fn a_panic_in_a_task_reaches_the_caller_and_leaves_the_pool_usable() {
        let pool = Pool::new(3).unwrap();
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            pool.run(10, (), |task, (), _| assert!(task != 7));
        }));
        assert!(outcome.is_err());
        let count = AtomicUsize::new(0);
        pool.run(10, (), |_, (), _| {
            count.fetch_add(1, Ordering::Relaxed);
        });
        assert_eq!(count.load(Ordering::Relaxed), 10);
    }
}
