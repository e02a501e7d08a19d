//! Where the time of a step goes: by kernel, and by place in the recipe.

use std::collections::BTreeMap;

use llmc_compiler::program::Program;
use llmc_compiler::schedule::cost;
use serde::Serialize;

use super::rounded;
use crate::device::Peaks;

/// One launch of a program as it stands in the account.
#[derive(Debug, Clone, PartialEq)]
pub struct Work {
    kernel: &'static str,
    /// Weight path with layers folded together, or where there is none the place in the recipe.
    place: String,
    is_matrix_product: bool,
    flops: u64,
    bytes: u64,
}

/// What the steps of a program do, in order.
pub fn works(program: &Program) -> Vec<Work> {
    let work = |step: &llmc_compiler::program::Step| Work {
        kernel: step.kernel.name(),
        place: if step.origin.path.is_empty() { step.origin.place.clone() } else { folded(&step.origin.path) },
        is_matrix_product: step.kernel.is_matrix_product(),
        flops: cost::flops(step),
        bytes: cost::bytes(program, step),
    };
    program.steps.iter().map(work).collect()
}

/// `transformer.h.*.mlp` for the `mlp` of every layer.
fn folded(path: &str) -> String {
    let parts: Vec<&str> =
        path.split('.').map(|part| if part.bytes().all(|byte| byte.is_ascii_digit()) { "*" } else { part }).collect();
    parts.join(".")
}

/// Time, operations and traffic of some launches of one optimizer step.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// The kernel's name.
    pub kernel: String,
    /// Where in the recipe.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// How many launches.
    pub launches: u64,
    /// Seconds of them.
    pub seconds: f64,
    /// Their part of the whole step.
    pub share: f64,
    /// Operations: matrix products and attention.
    pub flops: u64,
    /// Bytes read and written, each at least once.
    pub bytes: u64,
    /// Billions of operations per second.
    pub gflops: f64,
    /// The same over the machine's peak.
    pub share_of_peak: f64,
    /// Gigabytes (10^9) per second.
    pub gb_per_s: f64,
    /// The same over the machine's copy; above one where the caches hold the operands.
    pub share_of_copy: f64,
}

/// The account of one optimizer step.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Account {
    /// Billions of operations per second of the multiply-add loop on all threads.
    pub peak_gflops: f64,
    /// The same on one thread.
    pub peak_gflops_one_thread: f64,
    /// Gigabytes per second read and written by the copy loop on all threads.
    pub copy_gb_per_s: f64,
    /// Operations per second of the matrix products, while they run, over the peak.
    pub matmul_share_of_peak: f64,
    /// Operations per second of the whole step over the peak.
    pub step_share_of_peak: f64,
    /// Part of the step that the kernels account for.
    pub accounted: f64,
    /// Seconds of the timed step: of several the middle one.
    pub timed_step_s: f64,
    /// What is left: making the batch, passing it on, reading results, walking the graph.
    pub other_s: f64,
    /// By kernel, the longest first.
    pub kernels: Vec<Row>,
    /// By kernel and place, the longest first.
    pub places: Vec<Row>,
}

/// The launches of one program with the seconds that each took in one optimizer step, its runs together.
pub struct Timed {
    /// The launches.
    pub works: Vec<Work>,
    /// Seconds of each.
    pub seconds: Vec<f64>,
    /// Runs of the program in one optimizer step.
    pub runs: u64,
}

/// Sums of some launches.
#[derive(Default)]
struct Sum {
    launches: u64,
    seconds: f64,
    flops: u64,
    bytes: u64,
}

impl Account {
    /// The account of an optimizer step of `step_seconds` that ran `programs`. The step whose share of the peak is told took
    /// `untimed_seconds`, without anybody looking.
    pub fn new(programs: &[Timed], peaks: &Peaks, step_seconds: f64, untimed_seconds: f64) -> Account {
        let (mut kernels, mut places) = (BTreeMap::new(), BTreeMap::new());
        let (mut all, mut products) = (Sum::default(), Sum::default());
        for Timed { works, seconds, runs } in programs {
            for (work, &seconds) in works.iter().zip(seconds) {
                let whole = (work.kernel, None);
                let part = (work.kernel, Some(work.place.as_str()));
                kernels.entry(whole).or_insert_with(Sum::default).add(work, seconds, *runs);
                places.entry(part).or_insert_with(Sum::default).add(work, seconds, *runs);
                all.add(work, seconds, *runs);
                if work.is_matrix_product {
                    products.add(work, seconds, *runs);
                }
            }
        }
        let rows = |sums: BTreeMap<(&str, Option<&str>), Sum>| {
            let mut rows: Vec<Row> = sums.into_iter().map(|(name, sum)| sum.row(name, peaks, step_seconds)).collect();
            rows.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
            rows
        };
        Account {
            peak_gflops: rounded(peaks.flops / 1e9, 1),
            peak_gflops_one_thread: rounded(peaks.flops_of_one / 1e9, 1),
            copy_gb_per_s: rounded(peaks.copy_bytes / 1e9, 1),
            matmul_share_of_peak: rounded(over(products.flops as f64, products.seconds * peaks.flops), 4),
            step_share_of_peak: rounded(over(all.flops as f64, untimed_seconds * peaks.flops), 4),
            accounted: rounded(over(all.seconds, step_seconds), 4),
            timed_step_s: step_seconds,
            other_s: step_seconds - all.seconds,
            kernels: rows(kernels),
            places: rows(places),
        }
    }
}

impl Sum {
    fn add(&mut self, work: &Work, seconds: f64, runs: u64) {
        self.launches += runs;
        self.seconds += seconds;
        self.flops += work.flops * runs;
        self.bytes += work.bytes * runs;
    }

    fn row(&self, (kernel, place): (&str, Option<&str>), peaks: &Peaks, step_seconds: f64) -> Row {
        let (flops, bytes) = (over(self.flops as f64, self.seconds), over(self.bytes as f64, self.seconds));
        Row {
            kernel: kernel.to_owned(),
            place: place.map(str::to_owned),
            launches: self.launches,
            seconds: self.seconds,
            share: rounded(over(self.seconds, step_seconds), 4),
            flops: self.flops,
            bytes: self.bytes,
            gflops: rounded(flops / 1e9, 1),
            share_of_peak: rounded(over(flops, peaks.flops), 4),
            gb_per_s: rounded(bytes / 1e9, 2),
            share_of_copy: rounded(over(bytes, peaks.copy_bytes), 4),
        }
    }
}

/// A quotient, 0 where there is nothing to divide by.
fn over(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}
