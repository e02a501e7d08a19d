use super::super::math::{erf, exp, log, sigmoid, tanh};

/// Distance in units of the last place of the exact value (of the smallest normal number below it).
fn ulps(found: f32, exact: f64) -> f64 {
    if f64::from(found) == exact || (found.is_nan() && exact.is_nan()) {
        return 0.0;
    }
    // Halfway above the largest float, rounding goes to infinity.
    if found.is_infinite() && exact.abs() >= f64::from(f32::MAX) * (1.0 + 2.0f64.powi(-25)) {
        return 0.0;
    }
    let magnitude = (exact.abs() as f32).clamp(f32::MIN_POSITIVE, f32::MAX);
    let unit = 2.0f64.powi(f64::from(magnitude).log2().floor() as i32 - 23);
    (f64::from(found) - exact).abs() / unit
}

/// Every 997th float and its negative, and the points where things change.
fn arguments() -> impl Iterator<Item = f32> {
    let grid = (0..f32::INFINITY.to_bits()).step_by(997).map(f32::from_bits);
    let dense = (0..400_000).map(|index| index as f32 * 0.000_3);
    let special =
        [0.0, 1.0, 87.3, 88.722_84, 88.73, 89.0, 103.9, 104.1, 0.625, 0.927_734_4, f32::MAX, f32::MIN_POSITIVE];
    grid.chain(dense).chain(special).flat_map(|x| [x, -x])
}

/// The largest error over all arguments and where it is.
fn worst(function: fn(f32) -> f32, exact: fn(f64) -> f64) -> (f64, f32) {
    arguments().fold((0.0, 0.0), |worst, x| {
        let error = ulps(function(x), exact(f64::from(x)));
        if error > worst.0 || error.is_nan() { (error, x) } else { worst }
    })
}

fn exact_erf(x: f64) -> f64 {
    let magnitude = x.abs();
    if magnitude > 6.0 {
        return 1.0f64.copysign(x);
    }
    // Abramowitz and Stegun 7.1.6, all terms positive.
    let mut term = magnitude;
    let mut sum = term;
    let mut n = 0.0;
    while term > 1e-18 * sum {
        n += 1.0;
        term *= 2.0 * magnitude * magnitude / (2.0 * n + 1.0);
        sum += term;
    }
    (2.0 / std::f64::consts::PI.sqrt() * (-magnitude * magnitude).exp() * sum).copysign(x)
}

#[test]
fn errors_stay_within_the_stated_bounds() {
    let bounds = [
        ("exp", worst(exp, f64::exp), 1.5),
        ("log", worst(log, f64::ln), 1.5),
        ("sigmoid", worst(sigmoid, |x| 1.0 / (1.0 + (-x).exp())), 3.0),
        ("tanh", worst(tanh, f64::tanh), 3.0),
        ("erf", worst(erf, exact_erf), 2.0),
    ];
    for (name, (error, x), bound) in bounds {
        println!("{name}: {error:.3} ulp at {x:e}");
        assert!(error <= bound, "{name}: {error} ulp at {x:e}");
    }
}

#[test]
fn extremes_and_nan() {
    for function in [exp, log, sigmoid, tanh, erf] {
        assert!(function(f32::NAN).is_nan());
    }
    let infinity = f32::INFINITY;
    assert_eq!([exp(infinity), exp(-infinity), exp(0.0)], [infinity, 0.0, 1.0]);
    assert_eq!([log(infinity), log(0.0), log(1.0)], [infinity, -infinity, 0.0]);
    assert!(log(-1.0).is_nan() && log(-infinity).is_nan());
    assert_eq!([sigmoid(infinity), sigmoid(-infinity), sigmoid(0.0)], [1.0, 0.0, 0.5]);
    assert_eq!([tanh(infinity), tanh(-infinity), tanh(0.0)], [1.0, -1.0, 0.0]);
    assert_eq!([erf(infinity), erf(-infinity), erf(0.0)], [1.0, -1.0, 0.0]);
}
