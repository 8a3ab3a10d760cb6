//! The couplings of a model's terms, from plain values.
use crate::errors::refuse;
use crate::spec::required;
use numpy::{PyReadonlyArray1, PyReadonlyArray2};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use ranef_engine::covariance::coupling::{
    Adjacency, Chain, Clock, Coupling, Distance, Kernel, KnownCorrelation, KnownPrecision,
};
use std::sync::Arc;

/// Reads the coupling of a grouping factor with `levels` levels.
pub fn read(coupling: &Bound<'_, PyDict>, levels: usize) -> PyResult<Box<dyn Coupling>> {
    let kind: String = required(coupling, "kind")?;
    let found: Box<dyn Coupling> = match kind.as_str() {
        "ar1" => Box::new(Chain::new(Clock::Steps, gaps(coupling)?)),
        "ou" => Box::new(Chain::new(Clock::Continuous, gaps(coupling)?)),
        "exp" => Box::new(distance(Kernel::Exponential, coupling)?),
        "gau" => Box::new(distance(Kernel::Gaussian, coupling)?),
        "mat" => Box::new(distance(Kernel::Matern, coupling)?),
        "covariance" => {
            let blocks: Vec<usize> = required(coupling, "blocks")?;
            let matrix: PyReadonlyArray2<'_, f64> = required(coupling, "matrix")?;
            let matrix = matrix.as_array();
            let size = matrix.nrows();
            if matrix.ncols() != size || blocks.windows(2).any(|block| block[1] - block[0] != size) {
                return Err(refuse("spec", "each block of a known covariance has the size of its matrix"));
            }
            // The matrix is symmetric: rows serve as columns.
            let shared = Arc::new(matrix.iter().copied().collect::<Vec<f64>>());
            let values = blocks.windows(2).map(|_| shared.clone()).collect();
            Box::new(KnownCorrelation::new(blocks, values))
        }
        "precision" => Box::new(
            KnownPrecision::new(levels, entries(coupling, levels)?.into_iter())
                .map_err(|level| refuse("spec", format!("the precision is not positive definite at level {level}")))?,
        ),
        "car" => {
            let eigenvalues: PyReadonlyArray1<'_, f64> = required(coupling, "eigenvalues")?;
            let eigenvalues = eigenvalues.as_array().to_vec();
            let (low, high) = eigenvalues.iter().fold((0.0_f64, 0.0_f64), |(a, b), &e| (a.min(e), b.max(e)));
            if !(low < 0.0 && high > 0.0) || eigenvalues.len() != levels {
                return Err(refuse("spec", "an adjacency matrix has an eigenvalue for each level, of both signs"));
            }
            Box::new(Adjacency::new(levels, entries(coupling, levels)?.into_iter(), eigenvalues))
        }
        other => return Err(refuse("spec", format!("there is no coupling {other:?}"))),
    };
    if found.levels() != levels {
        let message = format!("a coupling of {} levels for a group with {levels}", found.levels());
        return Err(refuse("spec", message));
    }
    Ok(found)
}

/// The time since the level before; NaN where a series begins.
fn gaps(coupling: &Bound<'_, PyDict>) -> PyResult<Vec<Option<f64>>> {
    let gaps: PyReadonlyArray1<'_, f64> = required(coupling, "gaps")?;
    let gaps: Vec<Option<f64>> = gaps.as_array().iter().map(|&gap| (!gap.is_nan()).then_some(gap)).collect();
    if gaps.first().is_some_and(Option::is_some) || gaps.iter().flatten().any(|gap| *gap <= 0.0) {
        return Err(refuse("spec", "the times of a series increase"));
    }
    Ok(gaps)
}

fn distance(kernel: Kernel, coupling: &Bound<'_, PyDict>) -> PyResult<Distance> {
    let blocks: Vec<usize> = required(coupling, "blocks")?;
    let coordinates: Vec<PyReadonlyArray1<'_, f64>> = required(coupling, "coordinates")?;
    let coordinates: Vec<Vec<f64>> = coordinates.iter().map(|x| x.as_array().to_vec()).collect();
    let levels = blocks.last().copied().unwrap_or(0);
    if blocks.first() != Some(&0)
        || blocks.windows(2).any(|b| b[0] >= b[1])
        || coordinates.iter().any(|x| x.len() != levels)
    {
        return Err(refuse("spec", "blocks begin at 0 and increase; each level has its coordinates"));
    }
    Ok(Distance::new(kernel, blocks, &coordinates))
}

fn entries(coupling: &Bound<'_, PyDict>, levels: usize) -> PyResult<Vec<(usize, usize, f64)>> {
    let rows: PyReadonlyArray1<'_, u64> = required(coupling, "rows")?;
    let columns: PyReadonlyArray1<'_, u64> = required(coupling, "columns")?;
    let values: PyReadonlyArray1<'_, f64> = required(coupling, "values")?;
    let (rows, columns, values) = (rows.as_array(), columns.as_array(), values.as_array());
    let places = rows.iter().zip(columns).zip(values);
    let entries: Vec<(usize, usize, f64)> = places.map(|((&i, &j), &value)| (i as usize, j as usize, value)).collect();
    if entries.iter().any(|&(i, j, _)| i >= levels || j >= levels) || rows.len() != values.len() {
        return Err(refuse("spec", "an entry of a known matrix lies outside it"));
    }
    Ok(entries)
}
