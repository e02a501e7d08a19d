//! Text from a trained model.

pub mod sample;
