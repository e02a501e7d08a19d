//! Random numbers in wide vectors.

use llmc_compiler::random::Stream;

use super::simd::vectorised;

vectorised! {
    /// Standard normals for the elements from `first` on: the bits of [`Stream::normal`], on this thread.
    pub fn normals(stream: &Stream, first: u64, values: &mut [f32]) {
        stream.normals(first, values);
    }
}
