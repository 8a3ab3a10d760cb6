//! The Python module `ranef._engine`: arrays and plain values in, numbers out.
//!
//! Registration only. `spec.rs` reads a model, `model.rs` and `fitted.rs` are the two classes, `resampling.rs` what
//! comes from many fits, `contributions.rs` what rows add to a likelihood, `draws.rs` what a family gives without one,
//! `custom.rs` a family of the user's, `cards.rs` the catalogues, `arrays.rs` the conversions, `errors.rs` the engine's
//! refusals as a Python exception, `outside.rs` how work is done without the interpreter's lock, `huge_pages.rs` where
//! large arrays lie.

mod arrays;
mod assumptions;
mod cards;
mod contributions;
mod coupling;
mod custom;
mod draws;
mod errors;
mod fitted;
mod huge_pages;
mod model;
mod outside;
mod resampling;
mod saved;
mod spec;

use pyo3::prelude::*;

#[global_allocator]
static ALLOCATOR: huge_pages::HugePages = huge_pages::HugePages;

#[pymodule]
fn _engine(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add("EngineError", module.py().get_type::<errors::EngineError>())?;
    module.add("EngineFault", module.py().get_type::<errors::EngineFault>())?;
    outside::keep_panics();
    module.add_class::<custom::Custom>()?;
    module.add_class::<model::Model>()?;
    module.add_class::<fitted::Fitted>()?;
    module.add_function(wrap_pyfunction!(outside::fault, module)?)?;
    module.add_function(wrap_pyfunction!(resampling::bootstrap, module)?)?;
    module.add_function(wrap_pyfunction!(resampling::bootstrap_fits, module)?)?;
    module.add_function(wrap_pyfunction!(resampling::profile, module)?)?;
    module.add_function(wrap_pyfunction!(resampling::sigma_at, module)?)?;
    module.add_function(wrap_pyfunction!(contributions::contributions, module)?)?;
    module.add_function(wrap_pyfunction!(saved::found, module)?)?;
    module.add_function(wrap_pyfunction!(saved::restore, module)?)?;
    module.add_function(wrap_pyfunction!(draws::draw, module)?)?;
    module.add_function(wrap_pyfunction!(draws::predictor_at, module)?)?;
    module.add_function(wrap_pyfunction!(cards::families, module)?)?;
    module.add_function(wrap_pyfunction!(cards::covariances, module)?)?;
    module.add_function(wrap_pyfunction!(cards::residual_correlations, module)?)?;
    module.add_function(wrap_pyfunction!(cards::variance_functions, module)?)?;
    Ok(())
}
