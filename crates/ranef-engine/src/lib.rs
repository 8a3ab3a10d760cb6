//! ranef's engine.
pub mod covariance;
pub mod design;
pub mod likelihood;
pub mod linalg;
