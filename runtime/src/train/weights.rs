//! Where a stage's weights start.

use llmc_compiler::plan::{Initializer, StagePlan, WeightPlan};
use llmc_compiler::random::{Stream, stream_of};

use crate::device::Device;
use crate::device::cpu::normals;
use crate::failure::Failure;

/// Fills every weight by its own initialiser.
///
/// # Errors
/// Of the device.
pub fn initialise(device: &mut dyn Device, stage: &StagePlan) -> Result<(), Failure> {
    for weight in &stage.model.weights {
        let stream = Stream::new(stage.seed, stream_of(&weight.path));
        let fill = |first: u64, values: &mut [f32]| first_values(weight, &stream, first, values);
        device.fill_state(&format!("weight/{}", weight.path), &fill)?;
    }
    Ok(())
}

/// The first values of a weight from element `first` on: a function of the stream and the element's index alone.
fn first_values(weight: &WeightPlan, stream: &Stream, first: u64, values: &mut [f32]) {
    match weight.init {
        Initializer::Zeros => values.fill(0.0),
        Initializer::Ones => values.fill(1.0),
        Initializer::Normal(deviation) => {
            normals(stream, first, values);
            values.iter_mut().for_each(|value| *value *= deviation as f32);
        }
        Initializer::Uniform(bound) => {
            let scaled = |index| (2.0 * stream.uniform(index) - 1.0) * bound as f32;
            values.iter_mut().zip(first..).for_each(|(value, index)| *value = scaled(index));
        }
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
        first_values(&weight, &Stream::new(seed, stream_of(path)), 0, &mut values);
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
        first_values(&weight("a", Initializer::Uniform(0.5)), &Stream::new(1, stream_of("a")), 40_001, &mut part);
        assert_eq!(part, uniform[40_001..40_008]);
        assert!(values("a", Initializer::Ones, 1).iter().all(|v| *v == 1.0));
    }
}
