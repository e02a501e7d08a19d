//! Key/value caches for decoding.

use super::elements::Elements;
use super::operand::Operands;
use super::pool::Pool;
use crate::device::DeviceError;

/// How many positions each row of a cache holds.
#[derive(Clone)]
pub struct Lengths<'a>(Elements<'a, f32>);

impl<'a> Lengths<'a> {
    /// The read `index`, if `added` more positions fit every row of a cache.
    pub fn new(operands: &Operands<'a>, index: usize, added: usize, capacity: usize) -> Result<Self, DeviceError> {
        let lengths = Lengths(operands.floats(index));
        for row in 0..operands.read(index).count() {
            // A negative or broken length becomes 0 or a huge number, both caught here or harmless.
            let held = lengths.of(row);
            let fits = held.checked_add(added).is_some_and(|end| end <= capacity) && lengths.0.get(row) >= 0.0;
            if !fits {
                let (length, added, capacity) = (held as u64, added as u64, capacity as u64);
                return Err(DeviceError::CacheFull { length, added, capacity });
            }
        }
        Ok(lengths)
    }

    /// Of one row.
    pub fn of(&self, row: usize) -> usize {
        self.0.get(row) as usize
    }
}

/// `(new [B, T, G, K], length [B]) -> cache [B, C, G, K]`: writes the positions `length..length + T` of each row alone.
pub fn write(operands: &mut Operands<'_>, pool: &Pool) -> Result<(), DeviceError> {
    let (added, capacity) = (operands.read(0).shape[1], operands.written(0).shape[1]);
    let groups = operands.written(0).shape[2];
    let lengths = Lengths::new(operands, 1, added, capacity)?;
    let new = operands.rows(0);
    let cache = operands.rows_mut(0).per_task(capacity * groups);
    pool.run(cache.count() / capacity / groups, cache, |batch, mut piece, _| {
        let held = lengths.of(batch);
        for row in 0..added * groups {
            piece.row(held * groups + row).copy_from_slice(new.row(batch * added * groups + row));
        }
    });
    Ok(())
}
