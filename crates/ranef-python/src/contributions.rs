//! What sets of rows contribute to the likelihood of a fit.
use crate::arrays::{stack, table, vector};
use crate::errors::{intact, refuse};
use crate::fitted::Fitted;
use crate::outside::detached;
use numpy::PyReadonlyArray1;
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// Log likelihood, gradient and information of sets of rows: those from one of `starts` to the next.
#[pyfunction]
#[pyo3(signature = (fitted, rows, starts, information, threads = None))]
pub fn contributions<'py>(
    py: Python<'py>,
    fitted: &Fitted,
    rows: PyReadonlyArray1<'py, u32>,
    starts: Vec<usize>,
    information: bool,
    threads: Option<usize>,
) -> PyResult<Bound<'py, PyDict>> {
    let (fit, rows) = (fitted.fit(), rows.as_array().to_vec());
    let n = fit.data.y.len();
    let within = starts.windows(2).all(|pair| pair[0] < pair[1]) && starts.last() == Some(&rows.len());
    if !within || rows.iter().any(|&i| i as usize >= n) {
        return Err(refuse("spec", format!("the sets are not of the {n} rows")));
    }
    let sets: Vec<Vec<usize>> =
        starts.windows(2).map(|pair| rows[pair[0]..pair[1]].iter().map(|&i| i as usize).collect()).collect();
    let found = detached(py, threads, || fit.contributions(&sets, information))?;
    intact(&*fit.data.family)?;
    let found = found.ok_or_else(|| refuse("model", "the likelihood of some rows alone could not be evaluated"))?;
    let dim = found.first().map_or(0, |set| set.gradient.len());
    let out = PyDict::new(py);
    out.set_item("loglik", vector(py, found.iter().map(|set| set.loglik).collect()))?;
    // A column for each set.
    let gradients = found.iter().flat_map(|set| set.gradient.iter().copied()).collect();
    out.set_item("gradient", table(py, dim, found.len(), gradients))?;
    if information {
        let blocks = found.iter().flat_map(|set| set.information.iter().copied()).collect();
        out.set_item("information", stack(py, found.len(), dim, blocks))?;
    }
    Ok(out)
}
