//! Responses of a family at given linear predictors, without a fit.
use crate::errors::{raised, refuse};
use numpy::{IntoPyArray, PyArray1, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::prelude::*;
use ranef_engine::link::Link;
use ranef_engine::{family, simulation};

/// The linear predictor at which a parameter with that link has a value; not finite where it cannot.
#[pyfunction]
pub fn predictor_at(link: &str, value: f64) -> PyResult<f64> {
    let link = Link::from_name(link).ok_or_else(|| refuse("spec", format!("there is no link {link:?}")))?;
    Ok(link.eta(value))
}

/// One response for each row of `eta` (n, K); NaN where its predictors are infeasible.
#[pyfunction]
#[pyo3(signature = (name, link, zero_inflated, eta, trials, seed))]
pub fn draw<'py>(
    py: Python<'py>,
    name: &str,
    link: Option<&str>,
    zero_inflated: bool,
    eta: PyReadonlyArray2<'py, f64>,
    trials: Option<PyReadonlyArray1<'py, f64>>,
    seed: u64,
) -> PyResult<Bound<'py, PyArray1<f64>>> {
    let family = family::build(name, link, zero_inflated).map_err(|error| raised(error.into()))?;
    let (eta, trials) = (eta.as_array(), trials.as_ref().map(|trials| trials.as_array()));
    let k = family.components().len();
    if eta.ncols() != k || trials.is_some_and(|trials| trials.len() != eta.nrows()) {
        return Err(refuse("spec", format!("{name} needs {k} predictors, and trials of the same length or none")));
    }
    let columns: Vec<Vec<f64>> = eta.columns().into_iter().map(|column| column.to_vec()).collect();
    let trials = trials.map(|trials| trials.to_vec());
    Ok(simulation::draw(&*family, &columns, trials.as_deref(), seed).into_pyarray(py))
}
