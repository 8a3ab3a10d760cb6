//! ranef's engine.

/// Special functions with their derivatives.
pub mod special;

/// Numbers that carry their derivatives.
pub mod jet;

/// Link functions.
pub mod link;

/// Families of distributions.
pub mod family;
