//! Key/value caches for decoding.

use super::operand::Operands;
use super::pool::Pool;
use crate::device::DeviceError;

/// The value of `length`, if `added` more positions fit a cache.
pub fn length(operands: &Operands<'_>, read: usize, added: usize, capacity: usize) -> Result<usize, DeviceError> {
    let length = operands.floats(read).get(0);
    // A negative or broken length becomes 0 or a huge number, both caught here or harmless.
    let held = length as usize;
    match held.checked_add(added) {
        Some(end) if end <= capacity && length >= 0.0 => Ok(held),
        _ => Err(DeviceError::CacheFull { length: held as u64, added: added as u64, capacity: capacity as u64 }),
    }
}

/// `(new [B, T, G, K], length) -> cache [B, C, G, K]`: writes the positions `length..length + T` alone.
pub fn write(operands: &mut Operands<'_>, pool: &Pool) -> Result<(), DeviceError> {
    let (added, capacity) = (operands.read(0).shape[1], operands.written(0).shape[1]);
    let groups = operands.written(0).shape[2];
    let held = length(operands, 1, added, capacity)?;
    let new = operands.rows(0);
    let cache = operands.rows_mut(0).per_task(capacity * groups);
    pool.run(cache.count() / capacity / groups, cache, |batch, mut piece, _| {
        for row in 0..added * groups {
            piece.row(held * groups + row).copy_from_slice(new.row(batch * added * groups + row));
        }
    });
    Ok(())
}
