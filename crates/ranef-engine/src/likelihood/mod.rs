//! Likelihoods: from the parameters to the objective and its exact gradient.

pub mod profiled;
