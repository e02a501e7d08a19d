use llmc_compiler::op::{AdamConstants, RandomFunction};
use llmc_compiler::plan::{ScheduleKind, SchedulePlan};
use llmc_compiler::program::Kernel;
use llmc_compiler::random::Stream;

use super::{Bench, assert_close, normal, wide};

#[test]
fn sums_of_squares() {
    for count in [1, 17, 40_000, 100_003] {
        let values = normal(1, count);
        let mut bench = Bench::default();
        let x = bench.floats(values.clone(), &[count]);
        let out = bench.output(&[]);
        bench.step(Kernel::SumSquares, &[&x], &[&out]);
        let expected = wide(&values).iter().map(|x| x * x).sum();
        assert_close(&bench.run(&[&out])[0], &[expected], 1e-7);
    }
}

#[test]
fn learning_rates_follow_the_schedule() {
    let schedule = SchedulePlan { kind: ScheduleKind::Cosine, warmup: 3, floor: 0.1, decay: 0, steps: 10 };
    for step in 0..12 {
        let mut bench = Bench::default();
        let now = bench.floats(vec![step as f32], &[]);
        let out = bench.output(&[]);
        bench.step(Kernel::LearningRate { peak: 6e-4, schedule: schedule.clone() }, &[&now], &[&out]);
        assert_close(&bench.run(&[&out])[0], &[6e-4 * schedule.factor(step)], 1e-7);
    }
}

#[test]
fn adamw_steps() {
    let count = 40_003;
    let constants = AdamConstants { beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weight_decay: 0.1 };
    let mut bench = Bench::default();
    let gradient = bench.floats(normal(1, count), &[count]);
    let rate = bench.floats(vec![1e-2], &[]);
    let factor = bench.floats(vec![0.7], &[]);
    let [weight, first, second] = [2, 3, 4].map(|seed| {
        let values = normal(seed, count);
        bench.floats(values.into_iter().map(|x| if seed == 4 { x * x } else { x }).collect(), &[count])
    });
    let steps = [0.0, 1.0, 100.0];
    for step in steps {
        let now = bench.floats(vec![step], &[]);
        let reads = [&gradient, &rate, &factor, &now];
        bench.step(Kernel::AdamW(constants), &reads, &[&weight, &first, &second]);
    }
    let found = bench.run(&[&weight, &first, &second]);
    let [gradient, mut w, mut m, v] = [1, 2, 3, 4].map(|seed| wide(&normal(seed, count)));
    let mut v: Vec<f64> = v.into_iter().map(|x| x * x).collect();
    for step in steps {
        let t = f64::from(step) + 1.0;
        for i in 0..count {
            let g = gradient[i] * f64::from(0.7f32);
            m[i] = 0.9 * m[i] + 0.1 * g;
            v[i] = 0.95 * v[i] + 0.05 * g * g;
            let update = m[i] / (1.0 - 0.9f64.powf(t)) / ((v[i] / (1.0 - 0.95f64.powf(t))).sqrt() + 1e-8);
            w[i] -= f64::from(1e-2f32) * (update + 0.1 * w[i]);
        }
    }
    for (found, expected) in found.iter().zip([w, m, v]) {
        assert_close(found, &expected, 1e-6);
    }
}

#[test]
fn dropout_depends_on_the_counter_alone() {
    let (count, rate) = (70_001, 0.3);
    let function = RandomFunction::Dropout(rate);
    let mut bench = Bench::default();
    let x = bench.floats(normal(1, count), &[count]);
    let step = bench.floats(vec![5.0], &[]);
    let out = bench.output(&[count]);
    let kernel = Kernel::Random { function, seed: 9, site: 3 };
    bench.step(kernel.clone(), &[&x, &step], &[&out]);
    bench.step(kernel, &[&x, &step], &[&x]);
    let found = bench.run(&[&out, &x]);
    assert_eq!(found[0], found[1]);
    let stream = Stream::at_step(function, 9, 3, 5);
    let mut kept = 0;
    for (index, (found, x)) in found[0].iter().zip(normal(1, count)).enumerate() {
        let keeps = f64::from(stream.uniform(index as u64)) >= rate;
        kept += usize::from(keeps);
        let expected = if keeps { x / 0.7 } else { 0.0 };
        assert!((found - expected).abs() <= 1e-6 * x.abs(), "{index}");
    }
    assert!((kept as f64 / count as f64 - 0.7).abs() < 0.01);
}
