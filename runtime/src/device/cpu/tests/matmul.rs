use llmc_compiler::program::Kernel;

use super::{Bench, assert_close, normal, wide, window};

/// `a [batch, m, k] x b [batch, k, n]` with either operand stored transposed, or shared by the batch.
fn check(batch: usize, sizes: [usize; 3], transposed: [bool; 2], shared: [bool; 2], accumulate: bool) {
    let [m, n, k] = sizes;
    let (a_count, b_count) = (if shared[0] { 1 } else { batch }, if shared[1] { 1 } else { batch });
    let (a, b, c) = (normal(1, a_count * m * k), normal(2, b_count * k * n), normal(3, batch * m * n));
    let mut bench = Bench::default();
    let left = bench.floats(a.clone(), &[a_count, m, k]);
    let right = bench.floats(b.clone(), &[b_count, k, n]);
    let out = bench.floats(c.clone(), &[batch, m, n]);
    let (bs, ms, ns, ks) = (batch as u64, m as u64, n as u64, k as u64);
    let a_strides = if transposed[0] { [1, ms] } else { [ks, 1] };
    let b_strides = if transposed[1] { [1, ks] } else { [ns, 1] };
    let a_batch = if shared[0] { 0 } else { ms * ks };
    let b_batch = if shared[1] { 0 } else { ks * ns };
    let left = window(&left, 0, &[bs, ms, ks], &[a_batch, a_strides[0], a_strides[1]]);
    let right = window(&right, 0, &[bs, ks, ns], &[b_batch, b_strides[0], b_strides[1]]);
    bench.step(Kernel::MatMul { accumulate }, &[&left, &right], &[&out]);
    let (a, b, c) = (wide(&a), wide(&b), wide(&c));
    let mut expected = Vec::new();
    for i in 0..batch {
        for row in 0..m {
            for column in 0..n {
                let a = |d: usize| {
                    let at = if transposed[0] { d * m + row } else { row * k + d };
                    a[if shared[0] { at } else { i * m * k + at }]
                };
                let b = |d: usize| {
                    let at = if transposed[1] { column * k + d } else { d * n + column };
                    b[if shared[1] { at } else { i * k * n + at }]
                };
                let sum: f64 = (0..k).map(|d| a(d) * b(d)).sum();
                expected.push(sum + if accumulate { c[(i * m + row) * n + column] } else { 0.0 });
            }
        }
    }
    assert_close(&bench.run(&[&out])[0], &expected, 2e-6);
}

#[test]
fn odd_sizes_transposes_and_batches() {
    for (index, sizes) in [[1, 1, 1], [1, 17, 33], [7, 1, 5], [129, 65, 31], [48, 200, 300]].into_iter().enumerate() {
        for transposed in [[false, false], [true, false], [false, true], [true, true]] {
            check(1, sizes, transposed, [false, false], index % 2 == 0);
            check(3, sizes, transposed, [false, false], index % 2 == 1);
        }
    }
}

/// Few rows take a path of their own: the same bits, row by row, as among many rows.
#[test]
fn a_row_is_the_same_among_few_and_many() {
    for rows in 1..=8 {
        for (index, [n, k]) in [[1, 1], [31, 7], [33, 65], [515, 257], [1100, 391], [2048, 70]].into_iter().enumerate()
        {
            check(1, [rows, n, k], [false, (rows + index) % 2 == 0], [false, false], index % 3 == 0);
        }
    }
    let (many, n, k) = (20, 517, 801);
    for strides in [[n as u64, 1], [1, k as u64]] {
        let product = |rows: usize| {
            let mut bench = Bench::default();
            let left = bench.floats(normal(1, many * k), &[many, k]);
            let left = window(&left, 0, &[rows as u64, k as u64], &[k as u64, 1]);
            let right = bench.floats(normal(2, k * n), &[k, n]);
            let right = window(&right, 0, &[k as u64, n as u64], &strides);
            let out = bench.output(&[rows, n]);
            bench.step(Kernel::MatMul { accumulate: false }, &[&left, &right], &[&out]);
            bench.run(&[&out]).remove(0)
        };
        let expected = product(many);
        for rows in [1, 3, 8, 9] {
            assert_eq!(product(rows), expected[..rows * n], "{rows} rows");
        }
    }
}

#[test]
fn operands_shared_by_the_batch() {
    for shared in [[true, false], [false, true], [true, true]] {
        for transposed in [[false, false], [true, true]] {
            check(5, [13, 18, 21], transposed, shared, false);
        }
    }
}

#[test]
fn large_products_are_cut_into_tiles() {
    // Many tiles for any number of threads to share: `run` asserts equal bits.
    check(1, [400, 700, 96], [false, true], [false, false], true);
    check(6, [200, 97, 64], [false, false], [false, true], false);
    // Several blocks of rows, columns and depth, none of them whole.
    for transposed in [[false, false], [true, false], [false, true]] {
        check(1, [401, 150, 801], transposed, [false, false], false);
        check(1, [37, 300, 1001], transposed, [false, false], true);
    }
}

#[test]
fn results_with_gaps_are_the_same_for_any_number_of_threads() {
    // Neither rows nor columns of the result lie side by side, so no own kernel takes it; long sums show a different order.
    let (m, n, k) = (200, 210, 600);
    let (a, b) = (normal(1, m * k), normal(2, k * n));
    let mut bench = Bench::default();
    let left = bench.floats(a.clone(), &[m, k]);
    let right = bench.floats(b.clone(), &[k, n]);
    let whole = bench.output(&[m, 2 * n]);
    let out = window(&whole, 0, &[m as u64, n as u64], &[2 * n as u64, 2]);
    bench.step(Kernel::MatMul { accumulate: false }, &[&left, &right], &[&out]);
    let (a, b) = (wide(&a), wide(&b));
    let sum = |row: usize, column: usize| (0..k).map(|d| a[row * k + d] * b[d * n + column]).sum::<f64>();
    let expected: Vec<f64> = (0..m * n).map(|at| sum(at / n, at % n)).collect();
    assert_close(&bench.run(&[&out])[0], &expected, 2e-6);
}
