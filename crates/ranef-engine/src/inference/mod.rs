//! What is known about the parameters and effects after a fit.

mod hessian;
mod posterior;

pub use hessian::{Curvature, gradient_differences};
pub use posterior::{Combination, Posterior};
