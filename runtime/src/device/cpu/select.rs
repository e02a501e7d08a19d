//! Elements of the last axis: the largest, those that ids name, and sums by id.

use llmc_compiler::plan::Origin;

use super::lookup::check_ids;
use super::operand::Operands;
use super::pool::{Pool, Runs};
use crate::device::DeviceError;

/// Elements that a task reads.
const PER_TASK: usize = 1 << 14;

/// Rows of `length` elements for a task.
fn rows_per_task(length: usize) -> usize {
    (PER_TASK / length).max(1)
}

/// `(x [.., N]) -> [.., count]`: a row's places are kept in order while its elements pass by.
pub fn top_k(operands: &mut Operands<'_>, pool: &Pool) {
    let (x, count) = (operands.rows(0), operands.written(0).last());
    let per_task = rows_per_task(x.length());
    let tasks = x.count().div_ceil(per_task);
    pool.run(tasks, Runs::new(operands.integer_slice_mut(0), per_task * count), |task, places, _| {
        for (row, places) in places.chunks_exact_mut(count).enumerate() {
            largest(x.row(task * per_task + row), places);
        }
    });
}

/// The places of the largest elements, the largest first. A comparison with what is not a number is never true, so that even then
/// the places are places.
fn largest(row: &[f32], places: &mut [i32]) {
    let mut known = 0;
    for (place, &value) in row.iter().enumerate() {
        let before = places[..known].iter().position(|&other| value > row[other as usize]).unwrap_or(known);
        if before == places.len() {
            continue;
        }
        known = (known + 1).min(places.len());
        places.copy_within(before..known - 1, before + 1);
        places[before] = place as i32;
    }
}

/// `(x [.., N], ids [.., K]) -> [.., K]`
pub fn pick(operands: &mut Operands<'_>, pool: &Pool, origin: &Origin) -> Result<(), DeviceError> {
    let (x, count) = (operands.rows(0), operands.read(1).last());
    check_ids(&operands.integers(1), x.length(), origin)?;
    let ids = operands.integer_slice(1);
    let per_task = rows_per_task(x.length()) * count;
    let tasks = ids.len().div_ceil(per_task);
    pool.run(tasks, Runs::new(operands.slice_mut(0), per_task), |task, picked, _| {
        for (index, picked) in (task * per_task..).zip(picked) {
            *picked = x.row(index / count)[ids[index] as usize];
        }
    });
    Ok(())
}

/// `(ids [.., K], updates [.., K]) -> [.., N]`
pub fn place(operands: &mut Operands<'_>, pool: &Pool, origin: &Origin) -> Result<(), DeviceError> {
    let updates = operands.rows(1);
    let (ids, count) = (operands.integer_slice(0), updates.length());
    check_ids(&operands.integers(0), operands.written(0).last(), origin)?;
    let out = operands.rows_mut(0);
    let per_task = rows_per_task(out.length());
    let tasks = out.count().div_ceil(per_task);
    pool.run(tasks, out.per_task(per_task), |_, mut piece, _| {
        for index in 0..piece.count() {
            let row = piece.first() + index;
            let sums = piece.row(index);
            sums.fill(0.0);
            for (&id, update) in ids[row * count..][..count].iter().zip(updates.row(row)) {
                sums[id as usize] += update;
            }
        }
    });
    Ok(())
}
