//! The checker from outside: recipes in, plans or messages out.

mod fields;
mod recipes;
mod reference;
mod world;
