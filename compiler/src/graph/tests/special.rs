//! Values at the edges: ties, kinks, empty rows, and what is refused at run time.

use super::{Named, input, origin, single, total};
use crate::graph::{Builder, Graph, Id, Tensor, gradients};
use crate::op::{Op, RandomFunction};
use crate::plan::{AttentionSettings, BinaryFunction, LossPlan, ScheduleKind, SchedulePlan, UnaryFunction};
use crate::random::Stream;

/// The value of one operator.
fn value(op: &Op, operands: &[Tensor]) -> Result<Vec<f32>, String> {
    let (mut graph, _, value, bound) = single(op, operands);
    Ok(graph.evaluate(&bound, &Named::new(), &[value])?[0].to_f32())
}

/// The gradients of the sum of one operator's values for all operands.
fn slopes(op: &Op, operands: &[Tensor]) -> Vec<Vec<f32>> {
    let (mut graph, inputs, value, bound) = single(op, operands);
    let loss = total(&mut Builder::new(&mut graph, origin()), value);
    let gradients: Vec<Id> = gradients(&mut graph, loss, &inputs, &[]).into_iter().flatten().collect();
    let values = graph.evaluate(&bound, &Named::new(), &gradients).expect("the sample is valid");
    values.iter().map(Tensor::to_f32).collect()
}

fn list(values: &[f32]) -> Tensor {
    Tensor::f32(&[values.len() as u64], values.to_vec())
}

#[test]
fn kinks_and_ties_share_the_gradient() {
    let at_zero = [list(&[-1.0, 0.0, 1.0])];
    assert_eq!(slopes(&Op::Unary(UnaryFunction::Relu), &at_zero), [[0.0, 0.0, 1.0]]);
    assert_eq!(slopes(&Op::Unary(UnaryFunction::Abs), &at_zero), [[-1.0, 0.0, 1.0]]);
    let pair = [list(&[1.0, 2.0, 3.0]), list(&[2.0, 2.0, 2.0])];
    let maximum = slopes(&Op::Binary(BinaryFunction::Maximum), &pair);
    assert_eq!(maximum, [[0.0, 0.5, 1.0], [1.0, 0.5, 0.0]]);
    let minimum = slopes(&Op::Binary(BinaryFunction::Minimum), &pair);
    assert_eq!(minimum, [[1.0, 0.5, 0.0], [0.0, 0.5, 1.0]]);
    let reduce = Op::Reduce { kind: crate::op::Reduction::Max, axes: vec![0] };
    assert_eq!(slopes(&reduce, &[list(&[3.0, 1.0, 3.0])]), [[0.5, 0.0, 0.5]]);
}

#[test]
fn powers_of_zero_and_to_zero_have_finite_slopes() {
    let power = Op::Binary(BinaryFunction::Power);
    let slopes = slopes(&power, &[list(&[0.0, 0.0, 2.0, 0.0]), list(&[2.0, 0.0, 0.0, 1.0])]);
    assert_eq!(slopes[0], [0.0, 0.0, 0.0, 1.0]);
    assert_eq!(slopes[1], [0.0, 0.0, 2.0f32.ln(), 0.0]);
}

#[test]
fn a_token_alone_in_its_document_sees_itself() {
    let settings = AttentionSettings { documents: true, ..AttentionSettings::causal(1.0) };
    let x = Tensor::f32(&[1, 2, 1, 2], vec![0.5, -0.5, 1.0, 0.25]);
    let documents = Tensor::i32(&[1, 2], vec![3, 4]);
    let operands = [x.clone(), x.clone(), x.clone(), documents.clone(), documents];
    // The value comes through, and the statistics are its own score.
    assert_eq!(value(&Op::Attention(settings), &operands), Ok(x.to_f32()));
    assert_eq!(value(&Op::AttentionStats(settings), &operands), Ok(vec![0.5, 1.0625]));
}

#[test]
fn what_lies_outside_is_refused() {
    let table = Tensor::f32(&[3, 1], vec![1.0, 2.0, 3.0]);
    let refused = |op: &Op, operands: &[Tensor]| value(op, operands).expect_err("outside");
    let ids = |id: i32| Tensor::i32(&[1], vec![id]);
    assert_eq!(refused(&Op::Gather, &[table.clone(), ids(-1)]), "id -1 lies outside 0..3 (block test:1)");
    let scatter = Op::ScatterAdd { rows: 3 };
    let update = Tensor::f32(&[1, 2], vec![1.0; 2]);
    assert_eq!(refused(&scatter, &[ids(3), update]), "id 3 lies outside 0..3 (block test:1)");
    let logits = Tensor::f32(&[1, 4], vec![0.0; 4]);
    assert_eq!(
        refused(&Op::CrossEntropy(LossPlan::default()), &[logits, ids(4)]),
        "target 4 lies outside 0..4 (block test:1)"
    );
    let (cache, new) = (Tensor::f32(&[1, 4, 1, 1], vec![0.0; 4]), Tensor::f32(&[1, 2, 1, 1], vec![1.0; 2]));
    let write = |length: f32| value(&Op::CacheWrite, &[cache.clone(), new.clone(), Tensor::f32(&[1], vec![length])]);
    assert_eq!(write(2.0), Ok(vec![0.0, 0.0, 1.0, 1.0]));
    assert!(write(3.0).expect_err("3 + 2 > 4").starts_with("2 positions behind 3 do not fit a cache of 4"));
    assert!(write(-1.0).expect_err("negative").starts_with("the length of the cache is -1, not a count"));
    assert!(write(0.5).expect_err("half").starts_with("the length of the cache is 0.5, not a count"));
}

#[test]
fn dropout_depends_on_seed_site_and_step_alone() {
    let drop = |seed: u64, site: u64, step: f32| {
        let ones = Tensor::f32(&[1000], vec![1.0; 1000]);
        value(&Op::Random { function: RandomFunction::Dropout(0.25), seed, site }, &[ones, Tensor::scalar(step)])
            .expect("valid")
    };
    let first = drop(1, 2, 3.0);
    assert_eq!(first, drop(1, 2, 3.0));
    for other in [drop(2, 2, 3.0), drop(1, 3, 3.0), drop(1, 2, 4.0)] {
        assert_ne!(first, other);
    }
    let kept = first.iter().filter(|&&x| x != 0.0).count();
    assert!((700..800).contains(&kept), "{kept} of 1000 kept at a rate of 0.25");
    assert!(first.iter().all(|&x| x == 0.0 || x == (1.0f64 / 0.75) as f32));
    let stream = Stream::at_step(RandomFunction::Dropout(0.25), 1, 2, 3);
    assert!((0..1000).all(|i| (stream.uniform(i) >= 0.25) == (first[i as usize] != 0.0)));
}

#[test]
fn rounding_at_random_gives_neighbours_whose_mean_is_the_number() {
    let round = |x: f32, seed: u64| {
        let op = Op::Random { function: RandomFunction::Round, seed, site: 0 };
        value(&op, &[Tensor::f32(&[4000], vec![x; 4000]), Tensor::scalar(3.0)]).expect("valid")
    };
    for (x, near, far) in [
        (1.0 + 0.3 / 128.0, 1.0, 1.0 + 1.0 / 128.0),
        (-3.0 - 0.9 / 64.0, -3.0, -3.0 - 1.0 / 64.0),
        (0.99999, 1.0 - 1.0 / 256.0, 1.0),
    ] {
        let found = round(x, 1);
        assert!(found.iter().all(|&value| value == near || value == far), "{x}");
        let mean = found.iter().copied().map(f64::from).sum::<f64>() / 4000.0;
        assert!((mean - f64::from(x)).abs() < 0.03 * f64::from((far - near).abs()), "{mean} of {x}");
        assert_ne!(found, round(x, 2), "{x}");
    }
    // What is a bf16 number already stays, and so does what is none.
    for x in [0.0, -0.0, 1.0, -1.5, f32::from_bits(0x7f7f_0000), f32::INFINITY] {
        assert!(round(x, 1).iter().all(|&value| value.to_bits() == x.to_bits()), "{x}");
    }
    assert!(round(f32::NAN, 1).iter().all(|value| value.is_nan()));
    // Above the largest of them lies infinity.
    assert!(round(f32::MAX, 1).iter().all(|&value| value.is_infinite() || value > 3.38e38));
}

#[test]
fn learning_rates_follow_their_schedules() {
    // Peak 6e-4, floor 6e-5, 10 of 100 steps of warm-up; the values are those of PyTorch's schedulers in f64.
    let expected = [
        (ScheduleKind::Constant, [6e-5, 6e-4, 6e-4, 6e-4, 6e-4, 6e-4]),
        (ScheduleKind::Linear, [6e-5, 6e-4, 5.94e-4, 3.6e-4, 1.74e-4, 6.6e-5]),
        (
            ScheduleKind::Cosine,
            [6e-5, 6e-4, 5.998355232951559e-4, 3.768850079700712e-4, 1.1723709652618508e-4, 6.016447670484415e-5],
        ),
        (ScheduleKind::WarmupStableDecay, [6e-5, 6e-4, 6e-4, 6e-4, 5.73e-4, 8.7e-5]),
    ];
    for (kind, rates) in expected {
        let decay = if kind == ScheduleKind::WarmupStableDecay { 20 } else { 0 };
        let schedule = SchedulePlan { kind, warmup: 10, floor: 0.1, decay, steps: 100 };
        for (step, rate) in [0, 10, 11, 50, 81, 99].into_iter().zip(rates) {
            let computed = 6e-4 * schedule.factor(step);
            assert!((computed - rate).abs() < 1e-15, "{kind:?} at {step}: {computed}, not {rate}");
        }
        assert!((schedule.factor(1000) - schedule.factor(100)).abs() < 1e-15, "{kind:?} stays where it ends");
    }
}

#[test]
fn a_value_read_in_several_places_gets_the_sum() {
    // loss = sum(x * x + exp(x)), with x read three times.
    let mut graph = Graph::new();
    let x = input(&mut graph, "x", &[2]);
    let mut build = Builder::new(&mut graph, origin());
    let square = build.multiply(x, x);
    let exponential = build.unary(UnaryFunction::Exp, x);
    let sum = build.add(square, exponential);
    let loss = total(&mut build, sum);
    let gradient = gradients(&mut graph, loss, &[x], &[])[0].expect("the loss depends on x");
    let bound = Named::from([("x".to_owned(), list(&[0.0, 1.0]))]);
    let values = graph.evaluate(&bound, &Named::new(), &[gradient]).expect("valid");
    assert_eq!(values[0], list(&[1.0, 2.0 + std::f32::consts::E]));
}
