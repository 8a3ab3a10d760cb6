//! Likelihoods of mixed models, with their exact gradients.

pub mod assumed;
pub mod curvature;
pub mod data;
mod dense_covariance;
pub mod fixed_covariance;
mod gradient;
pub mod independent;
pub mod laplace;
pub mod marginal;
mod metric;
mod modes;
pub mod other_starts;
pub mod penalty;
mod prior;
pub mod profiled;
pub mod quadrature;
pub mod restriction;
mod row_pass;
mod separable;
pub mod start;
