//! ranef's engine.
pub mod covariance;
pub mod design;
pub mod linalg;
