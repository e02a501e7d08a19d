//! Where a stage's weights start.

use llmc_compiler::plan::{Initializer, StagePlan, WeightPlan};
use llmc_compiler::random::{Stream, stream_of};
use rayon::prelude::*;

use crate::device::Device;
use crate::failure::Failure;

/// Values that one task makes.
const CHUNK: usize = 1 << 14;

/// Values that are made before they go to the device: a megabyte.
const PART: usize = 1 << 18;

/// Fills every weight by its own initialiser, part by part.
///
/// # Errors
/// Of the device.
pub fn initialise(device: &mut dyn Device, stage: &StagePlan) -> Result<(), Failure> {
    let mut values = vec![0.0; PART];
    for weight in &stage.model.weights {
        let name = format!("weight/{}", weight.path);
        for start in (0..weight.elements()).step_by(PART) {
            let count = (weight.elements() - start).min(PART as u64) as usize;
            first_values(weight, stage.seed, start, &mut values[..count]);
            device.write_state_part(&name, start, &values[..count])?;
        }
    }
    Ok(())
}

/// The first values of a weight from element `start` on: a function of the seed, its path and the element's index alone.
fn first_values(weight: &WeightPlan, seed: u64, start: u64, values: &mut [f32]) {
    let stream = Stream::new(seed, stream_of(&weight.path));
    let fill = |values: &mut [f32], value: &(dyn Fn(u64) -> f32 + Sync)| {
        values.par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, slots)| {
            let first = start + (chunk * CHUNK) as u64;
            slots.iter_mut().zip(first..).for_each(|(slot, index)| *slot = value(index));
        });
    };
    match weight.init {
        Initializer::Zeros => values.fill(0.0),
        Initializer::Ones => values.fill(1.0),
        Initializer::Normal(deviation) => fill(values, &|index| stream.normal(index) * deviation as f32),
        Initializer::Uniform(bound) => fill(values, &|index| (2.0 * stream.uniform(index) - 1.0) * bound as f32),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weight(path: &str, init: Initializer) -> WeightPlan {
        WeightPlan { path: path.to_owned(), shape: vec![100, 500], init }
    }

    fn values(path: &str, init: Initializer, seed: u64) -> Vec<f32> {
        let weight = weight(path, init);
        let mut values = vec![0.0; 50_000];
        first_values(&weight, seed, 0, &mut values);
        values
    }

    #[test]
    fn values_depend_on_seed_and_path_and_have_the_right_spread() {
        let normal = values("a", Initializer::Normal(0.02), 1);
        assert_eq!(normal, values("a", Initializer::Normal(0.02), 1));
        assert_ne!(normal, values("b", Initializer::Normal(0.02), 1));
        assert_ne!(normal, values("a", Initializer::Normal(0.02), 2));
        let variance = normal.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / 50_000.0;
        assert!((variance.sqrt() - 0.02).abs() < 4e-4, "{variance}");
        let uniform = values("a", Initializer::Uniform(0.5), 1);
        assert!(uniform.iter().all(|v| (-0.5..0.5).contains(v)));
        assert!(uniform.iter().any(|v| *v > 0.49) && uniform.iter().any(|v| *v < -0.49));
        let mut part = vec![0.0; 7];
        first_values(&weight("a", Initializer::Uniform(0.5)), 1, 40_001, &mut part);
        assert_eq!(part, uniform[40_001..40_008]);
        assert!(values("a", Initializer::Ones, 1).iter().all(|v| *v == 1.0));
    }
}
