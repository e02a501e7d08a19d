//! A thread's own working memory, kept from kernel to kernel.

/// Grows to the largest need once and is never given back.
#[derive(Debug, Default)]
pub struct Scratch {
    floats: Vec<f32>,
}

impl Scratch {
    /// `count` floats with old contents.
    pub fn floats(&mut self, count: usize) -> &mut [f32] {
        if self.floats.len() < count {
            self.floats.resize(count, 0.0);
        }
        &mut self.floats[..count]
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
