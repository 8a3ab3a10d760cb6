//! Inputs made of any bytes: distributions, covariance structures, whole models. Each panics where the engine does, or where
//! its answer cannot be right; the ordinary tests hand them random bytes, the fuzzer (`fuzz/`) bytes that it evolves.

pub mod bytes;
pub mod density;
pub mod model;
pub mod structure;
