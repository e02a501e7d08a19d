//! The checker from outside: recipes in, plans or messages out.

// Tests read recipes and may bless documents; the compiler itself never does.
#![allow(clippy::disallowed_methods)]

mod damage;
mod fields;
mod recipes;
mod reference;
mod world;
