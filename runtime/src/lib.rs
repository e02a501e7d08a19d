//! placeholder
pub mod device;
