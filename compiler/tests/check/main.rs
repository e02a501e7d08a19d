//! The checker from outside: recipes in, plans or messages out.

mod damage;
mod fields;
mod recipes;
mod reference;
mod world;
