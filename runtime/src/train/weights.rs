//! Where a stage's weights start.

use llmc_compiler::plan::{Initializer, StagePlan, WeightPlan};
use llmc_compiler::random::{Stream, stream_of};
use rayon::prelude::*;

use crate::device::Device;
use crate::failure::Failure;

/// Values that one task makes.
const CHUNK: usize = 1 << 14;

/// Fills every weight by its own initialiser, one tensor at a time.
///
/// # Errors
/// Of the device.
pub fn initialise(device: &mut dyn Device, stage: &StagePlan) -> Result<(), Failure> {
    for weight in &stage.model.weights {
        device.write_state(&format!("weight/{}", weight.path), &first_values(weight, stage.seed))?;
    }
    Ok(())
}

/// The first values of a weight: a function of the seed, its path and the element's index alone.
fn first_values(weight: &WeightPlan, seed: u64) -> Vec<f32> {
    let elements = weight.elements() as usize;
    let stream = Stream::new(seed, stream_of(&weight.path));
    let fill = |value: &(dyn Fn(u64) -> f32 + Sync)| {
        let mut values = vec![0.0; elements];
        values.par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, slots)| {
            for (index, slot) in slots.iter_mut().enumerate() {
                *slot = value((chunk * CHUNK + index) as u64);
            }
        });
        values
    };
    match weight.init {
        Initializer::Zeros => vec![0.0; elements],
        Initializer::Ones => vec![1.0; elements],
        Initializer::Normal(deviation) => fill(&|index| stream.normal(index) * deviation as f32),
        Initializer::Uniform(bound) => fill(&|index| (2.0 * stream.uniform(index) - 1.0) * bound as f32),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(path: &str, init: Initializer, seed: u64) -> Vec<f32> {
        let weight = WeightPlan { path: path.to_owned(), shape: vec![100, 500], init };
        first_values(&weight, seed)
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
        assert!(values("a", Initializer::Ones, 1).iter().all(|v| *v == 1.0));
    }
}
