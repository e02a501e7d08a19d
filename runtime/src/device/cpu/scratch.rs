//! A thread's own working memory, kept from kernel to kernel.

/// Grows to the largest need once and is never given back.
#[derive(Debug, Default)]
pub struct Scratch {
    floats: Vec<f32>,
    doubles: Vec<f64>,
}

impl Scratch {
    /// `count` floats with old contents.
    pub fn floats(&mut self, count: usize) -> &mut [f32] {
        grow(&mut self.floats, count)
    }

    /// Both at once.
    pub fn both(&mut self, floats: usize, doubles: usize) -> (&mut [f32], &mut [f64]) {
        (grow(&mut self.floats, floats), grow(&mut self.doubles, doubles))
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

fn grow<T: Default + Clone>(values: &mut Vec<T>, count: usize) -> &mut [T] {
    if values.len() < count {
        values.resize(count, T::default());
    }
    &mut values[..count]
}
