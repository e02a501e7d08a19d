//! Rows of tables by id, and their sums by id.

use llmc_compiler::plan::Origin;

use super::elements::Elements;
use super::operand::Operands;
use super::pool::Pool;
use super::simd::vectorised;
use crate::device::DeviceError;

/// Elements of a task.
const PER_TASK: usize = 1 << 14;
/// Ranges of the table that are summed side by side.
const RANGES: usize = 32;

/// Every id must be a row of the table.
pub fn check_ids(ids: &Elements<'_, i32>, rows: usize, origin: &Origin) -> Result<(), DeviceError> {
    let outside = |id: &i32| usize::try_from(*id).map_or(true, |id| id >= rows);
    match (0..ids.count()).map(|index| ids.get(index)).find(outside) {
        None => Ok(()),
        Some(id) => Err(DeviceError::IdOutOfRange { id: id.into(), vocab: rows as u64, origin: origin.clone() }),
    }
}

/// `(table [V, D], ids [..]) -> [.., D]`
pub fn gather(operands: &mut Operands<'_>, pool: &Pool, origin: &Origin) -> Result<(), DeviceError> {
    let (table, ids) = (operands.rows(0), operands.integers(1));
    check_ids(&ids, table.count(), origin)?;
    let per_task = (PER_TASK / table.length()).max(1);
    let out = operands.rows_mut(0).per_task(per_task);
    pool.run(ids.count().div_ceil(per_task), out, |_, mut piece, _| {
        for row in 0..piece.count() {
            let id = ids.get(piece.first() + row) as usize;
            piece.row(row).copy_from_slice(table.row(id));
        }
    });
    Ok(())
}

/// `(ids [..], updates [.., D]) -> [V, D]`: every range of the table looks through all ids in order.
pub fn scatter_add(
    operands: &mut Operands<'_>,
    pool: &Pool,
    accumulate: bool,
    origin: &Origin,
) -> Result<(), DeviceError> {
    let (ids, updates) = (operands.integers(0), operands.rows(1));
    let table = operands.rows_mut(0);
    check_ids(&ids, table.count(), origin)?;
    let per_task = table.count().div_ceil(RANGES);
    let tasks = table.count().div_ceil(per_task);
    pool.run(tasks, table.per_task(per_task), |_, mut piece, _| {
        if !accumulate {
            (0..piece.count()).for_each(|row| piece.row(row).fill(0.0));
        }
        let range = piece.first()..piece.first() + piece.count();
        for index in 0..ids.count() {
            let id = ids.get(index) as usize;
            if range.contains(&id) {
                add(piece.row(id - range.start), updates.row(index));
            }
        }
    });
    Ok(())
}

vectorised! {
    /// `sum += x`
    fn add(sum: &mut [f32], x: &[f32]) {
        for (sum, x) in sum.iter_mut().zip(x) {
            *sum += x;
        }
    }
}
