//! Shape rules: from the checked arguments of a call to nodes with shapes.

pub(super) mod attention;
pub(super) mod einsum;
pub(super) mod elementwise;
pub(super) mod linear;
pub(super) mod mismatch;
pub(super) mod movement;
pub(super) mod normalise;
pub(super) mod pattern;
pub(super) mod reduce;
pub(super) mod routing;
