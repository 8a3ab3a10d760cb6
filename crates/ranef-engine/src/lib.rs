//! ranef's engine.
