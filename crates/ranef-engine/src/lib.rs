//! ranef's engine: mixed-effects models from arrays to estimates. Pure Rust; no data frames, no formula text.
//!
//! g{E(y|u)} = X beta + Z u,   u ~ N(0, Sigma(theta)),   Sigma = Lambda Lambda'
//!
//! | symbol | here | meaning |
//! | --- | --- | --- |
//! | y | `Data::y` | response of each row |
//! | eta | `eta[k][i]` | linear predictor k (mean, dispersion, shape, zero inflation) of row i |
//! | X, beta | `Fixed`, `beta` | fixed-effects columns and coefficients of a predictor |
//! | X = Q R, beta~ | `Fixed` | orthonormal coordinates, beta~ = R beta |
//! | Z, b | `Grouping`, `effects` | random-effects columns and effects in the columns' units |
//! | u | `mode` | standardised effects, b = Lambda u, u ~ N(0, I) |
//! | theta, Lambda | `Covariance`, `Template` | parameters and factor of the random-effects covariance |
//! | g, W, T | `Derivatives` | negated first, second, third derivatives of a row's log density |
//! | H | `Factorization` | inner Hessian A'WA + I, A = Z Lambda |
//! | D, sigma | `Profiled` | deviance or REML criterion, residual standard deviation |
//!
//! Modules in the order of their imports: each uses only those above it.

pub mod stop;

pub mod special;

pub mod jet;

pub mod link;

pub mod family;

pub mod linalg;

pub mod covariance;

pub mod residual_correlation;

pub mod variance_function;

pub mod design;

pub mod objective;

pub mod optimizer;

pub mod likelihood;

pub mod inference;

pub mod error;

pub mod fitting;

pub mod prediction;

pub mod simulation;

pub mod residuals;

pub mod contributions;

pub mod bootstrap;

pub mod profile;
