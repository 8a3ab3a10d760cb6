//! What comes from many fits of one model: bootstrap replicates and profiles.
use crate::arrays::{table, vector};
use crate::errors::{intact, raised, refuse};
use crate::fitted::Fitted;
use crate::outside::detached;
use crate::spec::control as read_control;
use numpy::PyArray1;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use ranef_engine::family::Component;
use ranef_engine::profile::Parameter;
use std::time::Instant;

/// Replicates first, first + 1, ... of the parametric bootstrap: converged, singular, loglik, sigma, and parameters
/// (count, k): fixed effects by predictor, then for each term its standard deviations and all its correlations.
#[pyfunction]
pub fn bootstrap<'py>(
    py: Python<'py>,
    fitted: &Fitted,
    first: usize,
    count: usize,
    seed: u64,
    control: &Bound<'py, PyDict>,
) -> PyResult<Bound<'py, PyDict>> {
    let (settings, threads, _) = read_control(control)?;
    let fit = fitted.fit();
    let replicates = detached(py, threads, || fit.bootstrap(first..first + count, seed, &settings))?;
    intact(&*fit.data.family)?;
    let out = PyDict::new(py);
    out.set_item("converged", replicates.iter().map(|r| r.converged).collect::<Vec<_>>())?;
    out.set_item("singular", replicates.iter().map(|r| r.singular).collect::<Vec<_>>())?;
    out.set_item("loglik", vector(py, replicates.iter().map(|r| r.loglik).collect()))?;
    out.set_item("sigma", vector(py, replicates.iter().map(|r| r.sigma).collect()))?;
    let k = fit.natural_parameters().len();
    let values = (0..k).flat_map(|j| replicates.iter().map(move |r| r.parameters[j])).collect();
    out.set_item("parameters", table(py, count, k, values))?;
    Ok(out)
}

/// The same replicates as whole fits, each with the response it was fitted to.
#[pyfunction]
#[allow(clippy::type_complexity)]
pub fn bootstrap_fits<'py>(
    py: Python<'py>,
    fitted: &Fitted,
    first: usize,
    count: usize,
    seed: u64,
    control: &Bound<'py, PyDict>,
) -> PyResult<Vec<(Fitted, Bound<'py, PyArray1<f64>>)>> {
    let (settings, threads, _) = read_control(control)?;
    let (fit, began) = (fitted.fit(), Instant::now());
    let fits = detached(py, threads, || fit.bootstrap_fits(first..first + count, seed, &settings))?.map_err(raised)?;
    let seconds = began.elapsed().as_secs_f64() / count.max(1) as f64;
    Ok(fits
        .into_iter()
        .map(|fit| {
            let y = vector(py, fit.data.y.clone());
            (Fitted::new(fit, seconds), y)
        })
        .collect())
}

/// Profiles of parameters as far as |zeta| = level, with `inner` further points a side. A parameter is ("fixed",
/// predictor, column, 0), ("sd", term, column, 0), ("cor", term, first, second), ("coupling", term, index, 0) or ("sigma",
/// 0, 0, 0).
#[pyfunction]
pub fn profile<'py>(
    py: Python<'py>,
    fitted: &Fitted,
    parameters: Vec<(String, usize, usize, usize)>,
    level: f64,
    inner: usize,
    control: &Bound<'py, PyDict>,
) -> PyResult<Bound<'py, PyList>> {
    let (settings, threads, _) = read_control(control)?;
    let parameters = parameters
        .into_iter()
        .map(|(kind, a, b, c)| match kind.as_str() {
            "fixed" => Ok(Parameter::Fixed { predictor: a, column: b }),
            "sd" => Ok(Parameter::Sd { term: a, column: b }),
            "cor" => Ok(Parameter::Correlation { term: a, first: b, second: c }),
            "coupling" => Ok(Parameter::Coupling { term: a, index: b }),
            "sigma" => Ok(Parameter::Sigma),
            other => Err(refuse("spec", format!("there is no parameter of kind {other:?}"))),
        })
        .collect::<PyResult<Vec<_>>>()?;
    let fit = fitted.fit();
    let curves = detached(py, threads, || fit.profile(&parameters, level, inner, &settings))?;
    intact(&*fit.data.family)?;
    let curves = curves.map_err(raised)?;
    let out = PyList::empty(py);
    for curve in curves {
        let entry = PyDict::new(py);
        let (values, zetas): (Vec<f64>, Vec<f64>) = curve.points.iter().copied().unzip();
        entry.set_item("estimate", curve.estimate)?;
        entry.set_item("value", vector(py, values))?;
        entry.set_item("zeta", vector(py, zetas))?;
        entry.set_item("lower", (curve.lower.value, curve.lower.note))?;
        entry.set_item("upper", (curve.upper.value, curve.upper.note))?;
        out.append(entry)?;
    }
    Ok(out)
}

/// The family's sigma at values of a constant dispersion predictor.
#[pyfunction]
pub fn sigma_at<'py>(py: Python<'py>, fitted: &Fitted, dispersion: Vec<f64>) -> Bound<'py, PyArray1<f64>> {
    let family = &fitted.fit().data.family;
    let place = family.components().iter().position(|component| *component == Component::Disp);
    let values = dispersion
        .into_iter()
        .map(|value| {
            let mut row = vec![0.0; family.components().len()];
            if let Some(k) = place {
                row[k] = value;
            }
            family.sigma(&row)
        })
        .collect();
    vector(py, values)
}
