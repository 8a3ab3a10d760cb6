//! numpy arrays to vectors and back. Matrices are column-major inside the engine.
use crate::errors::refuse;
use numpy::ndarray::{Array2, Array3, ShapeBuilder};
use numpy::{PyArray1, PyArray2, PyArray3, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// A vector of `n` numbers under `key`; `None` where it is absent or None.
pub fn optional_vector(dict: &Bound<'_, PyDict>, key: &str, n: usize) -> PyResult<Option<Vec<f64>>> {
    match dict.get_item(key)? {
        Some(value) if !value.is_none() => {
            let array: PyReadonlyArray1<'_, f64> = value.extract()?;
            let vector = array.as_array().to_vec();
            if vector.len() != n {
                return Err(refuse("data", format!("{key} has {} values; there are {n} rows", vector.len())));
            }
            if let Some(row) = vector.iter().position(|value| !value.is_finite()) {
                return Err(refuse("data", format!("{key} is {} in row {row}", vector[row])));
            }
            Ok(Some(vector))
        }
        _ => Ok(None),
    }
}

/// A matrix of `n` rows, column-major, with its number of columns.
pub fn matrix(value: &Bound<'_, PyAny>, what: &str, n: usize) -> PyResult<(Vec<f64>, usize)> {
    let array: PyReadonlyArray2<'_, f64> = value.extract()?;
    let view = array.as_array();
    if view.nrows() != n {
        return Err(refuse("data", format!("{what} has {} rows, not {n}", view.nrows())));
    }
    let mut out: Vec<f64> = Vec::with_capacity(n * view.ncols());
    for column in view.columns() {
        match column.as_slice() {
            Some(contiguous) => out.extend_from_slice(contiguous),
            None => out.extend(column.iter()),
        }
    }
    if let Some(at) = out.iter().position(|value| !value.is_finite()) {
        return Err(refuse("data", format!("{what} is {} in row {}, column {}", out[at], at % n, at / n)));
    }
    Ok((out, view.ncols()))
}

/// A numpy vector.
pub fn vector<'py>(py: Python<'py>, values: Vec<f64>) -> Bound<'py, PyArray1<f64>> {
    PyArray1::from_vec(py, values)
}

/// A numpy matrix from column-major values.
pub fn table<'py>(py: Python<'py>, rows: usize, columns: usize, values: Vec<f64>) -> Bound<'py, PyArray2<f64>> {
    let array = Array2::from_shape_vec((rows, columns).f(), values).expect("rows x columns values");
    PyArray2::from_owned_array(py, array)
}

/// A numpy array (outer, rows, columns) from blocks of symmetric matrices.
pub fn stack<'py>(py: Python<'py>, outer: usize, size: usize, values: Vec<f64>) -> Bound<'py, PyArray3<f64>> {
    let array = Array3::from_shape_vec((outer, size, size), values).expect("outer x size x size values");
    PyArray3::from_owned_array(py, array)
}
