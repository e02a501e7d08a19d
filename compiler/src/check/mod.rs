//! Tree to plan: every mistake of the user ends here.

pub mod arithmetic;
pub mod evaluate;
pub mod nearest;
pub mod units;
pub mod value;
