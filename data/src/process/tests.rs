//! Steps together, on streams of documents.

mod near;
mod steps;
