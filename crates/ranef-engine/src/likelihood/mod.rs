//! Likelihoods of mixed models, with their exact gradients.

pub mod curvature;
pub mod data;
mod gradient;
pub mod independent;
pub mod laplace;
pub mod marginal;
mod metric;
mod modes;
mod prior;
pub mod profiled;
pub mod quadrature;
mod row_pass;
pub mod start;
