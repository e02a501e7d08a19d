//! A thread's own working memory, kept from kernel to kernel.

/// Grows to the largest need once and is never given back.
#[derive(Debug, Default)]
pub struct Scratch {
    floats: Vec<f32>,
    sums: Vec<f64>,
}

impl Scratch {
    /// `count` floats with old contents.
    pub fn floats(&mut self, count: usize) -> &mut [f32] {
        if self.floats.len() < count {
            self.floats.resize(count, 0.0);
        }
        &mut self.floats[..count]
    }

    /// Calls `body` with `count` sums of old contents, and with all else.
    pub fn with_sums(&mut self, count: usize, body: impl FnOnce(&mut [f64], &mut Scratch)) {
        let mut sums = std::mem::take(&mut self.sums);
        if sums.len() < count {
            sums.resize(count, 0.0);
        }
        body(&mut sums[..count], self);
        self.sums = sums;
    }
}

/// Consecutive parts of a thread's floats, with old contents.
pub fn split<const N: usize>(scratch: &mut Scratch, sizes: [usize; N]) -> [&mut [f32]; N] {
    let mut rest = scratch.floats(sizes.iter().sum());
    sizes.map(|size| {
        let (part, others) = std::mem::take(&mut rest).split_at_mut(size);
        rest = others;
        part
    })
}
