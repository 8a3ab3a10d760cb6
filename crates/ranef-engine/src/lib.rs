//! ranef's engine.

pub mod special;

pub mod jet;

pub mod link;

pub mod family;
