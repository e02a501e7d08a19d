//! Steps together, on streams of documents.

mod interrupted;
mod near;
mod steps;
