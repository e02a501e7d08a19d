use llmc_compiler::program::Kernel;

use super::{Bench, assert_close, integers, normal, wide, window};
use crate::device::DeviceError;

/// Sizes: rows, ids of a row, experts, depth, columns. Blocks and tiles end within them; some experts get nothing.
const SIZES: [[usize; 5]; 5] =
    [[1, 1, 1, 1, 1], [7, 2, 5, 9, 33], [130, 3, 2, 65, 40], [900, 1, 2, 12, 545], [5, 4, 40, 300, 7]];

#[test]
fn rows_meet_the_matrices_that_their_ids_name() {
    for [rows, each, experts, depth, columns] in SIZES {
        let count = rows * each;
        let (x, w) = (normal(1, rows * depth), normal(2, experts * depth * columns));
        let ids = integers(3, count, experts);
        let mut bench = Bench::default();
        let rows_of = bench.floats(x.clone(), &[rows, depth]);
        let named = bench.integers(ids.clone(), &[count]);
        let matrices = bench.floats(w.clone(), &[experts, depth, columns]);
        // The same numbers as transposed matrices, and rows of a wider result.
        let (e, d, n, m) = (experts as u64, depth as u64, columns as u64, count as u64);
        let turned = window(&matrices, 0, &[e, n, d], &[d * n, 1, n]);
        let wider = bench.floats(vec![f32::NAN; count * (columns + 3)], &[count * (columns + 3)]);
        let out = window(&wider, 2, &[m, n], &[n + 3, 1]);
        bench.step(Kernel::RoutedMatMul, &[&rows_of, &named, &matrices], &[&out]);
        let gradient = bench.floats(normal(4, count * columns), &[count, columns]);
        let back = bench.output(&[count, depth]);
        bench.step(Kernel::RoutedMatMul, &[&gradient, &named, &turned], &[&back]);
        let found = bench.run(&[&out, &back]);
        let (x, w, dy) = (wide(&x), wide(&w), wide(&normal(4, count * columns)));
        let (mut forward, mut backward) = (Vec::new(), Vec::new());
        for (row, &id) in ids.iter().enumerate() {
            let matrix = |d: usize, n: usize| w[(id as usize * depth + d) * columns + n];
            let x = &x[row / each * depth..][..depth];
            forward.extend((0..columns).map(|n| (0..depth).map(|d| x[d] * matrix(d, n)).sum::<f64>()));
            let dy = &dy[row * columns..][..columns];
            backward.extend((0..depth).map(|d| (0..columns).map(|n| dy[n] * matrix(d, n)).sum::<f64>()));
        }
        assert_close(&found[0], &forward, 2e-6);
        assert_close(&found[1], &backward, 2e-6);
    }
}

#[test]
fn outer_products_are_added_up_by_id() {
    for [rows, each, experts, depth, columns] in SIZES {
        for accumulate in [false, true] {
            let count = rows * each;
            let (a, b) = (normal(1, rows * depth), normal(2, count * columns));
            // The last expert gets nothing.
            let ids = integers(3, count, (experts - 1).max(1));
            let first = normal(4, experts * depth * columns);
            let mut bench = Bench::default();
            let left = bench.floats(a.clone(), &[rows, depth]);
            let named = bench.integers(ids.clone(), &[count]);
            let right = bench.floats(b.clone(), &[count, columns]);
            let start = if accumulate { first.clone() } else { vec![f32::NAN; first.len()] };
            let sums = bench.floats(start, &[experts, depth, columns]);
            bench.step(Kernel::RoutedOuter { accumulate }, &[&left, &named, &right], &[&sums]);
            let found = bench.run(&[&sums]).remove(0);
            let mut expected = if accumulate { wide(&first) } else { vec![0.0; first.len()] };
            for (row, &id) in ids.iter().enumerate() {
                for d in 0..depth {
                    for n in 0..columns {
                        expected[(id as usize * depth + d) * columns + n] +=
                            f64::from(a[row / each * depth + d]) * f64::from(b[row * columns + n]);
                    }
                }
            }
            assert_close(&found, &expected, 2e-6);
        }
    }
}

#[test]
fn the_largest_are_picked_and_put_back() {
    for (rows, size, count) in [(1, 1, 1), (300, 8, 2), (7, 257, 9), (3, 4, 4)] {
        // Coarse values, so that many are equal.
        let x: Vec<f32> = normal(1, rows * size).iter().map(|x| (x * 3.0).round()).collect();
        let mut bench = Bench::default();
        let values = bench.floats(x.clone(), &[1, rows, size]);
        let places = bench.integers(vec![0; rows * count], &[1, rows, count]);
        bench.step(Kernel::TopK { count: count as u64 }, &[&values], &[&places]);
        let picked = bench.output(&[1, rows, count]);
        bench.step(Kernel::Pick, &[&values, &places], &[&picked]);
        let back = bench.output(&[1, rows, size]);
        bench.step(Kernel::Place, &[&places, &picked], &[&back]);
        let found = bench.run(&[&picked, &back]);
        for (row, x) in x.chunks(size).enumerate() {
            let mut order: Vec<usize> = (0..size).collect();
            order.sort_by(|&a, &b| x[b].total_cmp(&x[a]).then(a.cmp(&b)));
            let mut expected = vec![0.0; size];
            for (number, &place) in order[..count].iter().enumerate() {
                assert_eq!(found[0][row * count + number], x[place]);
                expected[place] = x[place];
            }
            assert_eq!(&found[1][row * size..][..size], expected);
        }
    }
}

#[test]
fn what_is_no_number_still_has_a_place() {
    let mut bench = Bench::default();
    let values = bench.floats(vec![f32::NAN, 1.0, f32::NAN, 2.0, f32::INFINITY, f32::NAN], &[1, 6]);
    let places = bench.integers(vec![-1; 4], &[1, 4]);
    bench.step(Kernel::TopK { count: 4 }, &[&values], &[&places]);
    let ones = bench.floats(vec![1.0; 4], &[1, 4]);
    let taken = bench.output(&[1, 6]);
    bench.step(Kernel::Place, &[&places, &ones], &[&taken]);
    let found = bench.run(&[&taken]).remove(0);
    assert_eq!(found.iter().sum::<f32>(), 4.0);
    assert!(found.iter().all(|&count| count <= 1.0), "{found:?}");
}

#[test]
fn ids_outside_are_refused() {
    for outside in [-1, 3] {
        let mut bench = Bench::default();
        let x = bench.floats(normal(1, 4), &[2, 2]);
        let ids = bench.integers(vec![0, outside], &[2]);
        let w = bench.floats(normal(2, 12), &[3, 2, 2]);
        let out = bench.output(&[2, 2]);
        bench.step(Kernel::RoutedMatMul, &[&x, &ids, &w], &[&out]);
        let Err(DeviceError::IdOutOfRange { id, vocab: 3, .. }) = bench.run_on(1, &[&out]) else {
            panic!("{outside} is no expert");
        };
        assert_eq!(id, i64::from(outside));
    }
}
