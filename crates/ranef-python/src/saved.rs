//! What a search found, as plain values, and the fit made of it again.
use crate::arrays::{table, vector};
use crate::errors::{intact, refuse};
use crate::fitted::Fitted;
use crate::model::Model;
use crate::outside::detached;
use numpy::{PyReadonlyArray1, PyReadonlyArray2};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use ranef_engine::fitting::saved::{self, Found};
use ranef_engine::fitting::verdict::{Status, TermVerdict, Verdict};
use ranef_engine::fitting::{Optimum, Remedy};
use ranef_engine::optimizer::Step;

/// What has to be kept of a fit, in the coordinates of its search.
#[pyfunction]
pub fn found<'py>(py: Python<'py>, fitted: &Fitted) -> PyResult<Bound<'py, PyDict>> {
    let Found { optimum, mode, fitted: mean, inner_iterations } = fitted.fit().found();
    let (verdict, out) = (optimum.verdict, PyDict::new(py));
    let dim = optimum.x.len();
    out.set_item("x", vector(py, optimum.x))?;
    out.set_item("value", optimum.value)?;
    out.set_item("gradient", vector(py, optimum.gradient))?;
    out.set_item("covariance", table(py, dim, dim, optimum.covariance))?;
    out.set_item("mode", vector(py, mode))?;
    out.set_item("fitted", vector(py, mean))?;
    out.set_item("held", optimum.held)?;
    out.set_item("evaluations", optimum.evaluations)?;
    out.set_item("inner_iterations", inner_iterations)?;
    out.set_item("seconds", fitted.seconds())?;
    let steps = optimum.trace.len();
    let columns: [fn(&Step) -> f64; 4] =
        [|s| s.value, |s| s.gradient, |s| s.radius, |s| f64::from(u8::from(s.accepted))];
    let trace = columns.iter().flat_map(|column| optimum.trace.iter().map(column)).collect();
    out.set_item("trace", table(py, steps, columns.len(), trace))?;
    out.set_item("remedies", optimum.remedies.iter().map(Remedy::message).collect::<Vec<_>>())?;
    out.set_item("status", verdict.status.name())?;
    out.set_item("gradient_scaled", verdict.gradient_scaled)?;
    out.set_item("gradient_max", verdict.gradient_max)?;
    out.set_item("hessian_values", vector(py, verdict.hessian_values))?;
    out.set_item("flat", verdict.flat)?;
    out.set_item("separated", verdict.separated)?;
    out.set_item("boundary", verdict.boundary)?;
    let terms = PyList::empty(py);
    for term in verdict.terms {
        terms.append((term.rank, term.size, term.singular_values, term.kkt))?;
    }
    out.set_item("terms", terms)?;
    out.set_item("inner_decrement", verdict.inner_decrement)?;
    out.set_item("inner_definite", verdict.inner_definite)?;
    Ok(out)
}

/// The fit of a model that a search found before.
#[pyfunction]
pub fn restore(py: Python<'_>, model: &Model, found: &Bound<'_, PyDict>) -> PyResult<Fitted> {
    let get = |key: &str| -> PyResult<Bound<'_, PyAny>> {
        found.get_item(key)?.ok_or_else(|| refuse("saved", format!("{key} is missing")))
    };
    let numbers = |key: &str| -> PyResult<Vec<f64>> {
        let array: PyReadonlyArray1<'_, f64> = get(key)?.extract()?;
        Ok(array.as_array().to_vec())
    };
    let columns = |key: &str| -> PyResult<Vec<Vec<f64>>> {
        let array: PyReadonlyArray2<'_, f64> = get(key)?.extract()?;
        Ok(array.as_array().columns().into_iter().map(|column| column.to_vec()).collect())
    };
    let name: String = get("status")?.extract()?;
    let status = Status::ALL.into_iter().find(|status| status.name() == name);
    let status = status.ok_or_else(|| refuse("saved", format!("there is no status {name:?}")))?;
    let terms: Vec<(usize, usize, Vec<f64>, Option<f64>)> = get("terms")?.extract()?;
    let terms =
        terms.into_iter().map(|(rank, size, singular_values, kkt)| TermVerdict { rank, size, singular_values, kkt });
    let trace = columns("trace")?;
    let [value, gradient, radius, accepted] = &trace[..] else {
        return Err(refuse("saved", format!("the trace has {} columns", trace.len())));
    };
    let trace = (0..value.len())
        .map(|i| Step { value: value[i], gradient: gradient[i], radius: radius[i], accepted: accepted[i] != 0.0 })
        .collect();
    let kept = Found {
        mode: numbers("mode")?,
        fitted: numbers("fitted")?,
        inner_iterations: get("inner_iterations")?.extract()?,
        optimum: Optimum {
            x: numbers("x")?,
            value: get("value")?.extract()?,
            gradient: numbers("gradient")?,
            covariance: columns("covariance")?.concat(),
            held: get("held")?.extract()?,
            evaluations: get("evaluations")?.extract()?,
            trace,
            remedies: get("remedies")?.extract::<Vec<String>>()?.into_iter().map(Remedy::Told).collect(),
            verdict: Verdict {
                status,
                gradient_scaled: get("gradient_scaled")?.extract()?,
                gradient_max: get("gradient_max")?.extract()?,
                hessian_values: numbers("hessian_values")?,
                flat: get("flat")?.extract()?,
                separated: get("separated")?.extract()?,
                boundary: get("boundary")?.extract()?,
                terms: terms.collect(),
                inner_decrement: get("inner_decrement")?.extract()?,
                inner_definite: get("inner_definite")?.extract()?,
            },
        },
    };
    let seconds = get("seconds")?.extract()?;
    let (data, likelihood) = (model.data(), model.likelihood().clone());
    let family = data.family.clone();
    let fit = detached(py, None, || saved::restore(data, likelihood, kept))?;
    intact(&*family)?;
    Ok(Fitted::new(fit.map_err(|error| refuse("saved", error.to_string()))?, seconds))
}
