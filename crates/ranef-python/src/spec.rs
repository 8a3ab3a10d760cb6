//! A model's plain values, read and checked.
use crate::arrays::{matrix, optional_vector};
use crate::assumptions;
use crate::coupling;
use crate::custom::Custom;
use crate::errors::{raised, refuse};
use numpy::PyReadonlyArray1;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use ranef_engine::covariance;
use ranef_engine::covariance::coupling::{Coupling, Form};
use ranef_engine::design::{Column, Design, Fixed, LevelColumns, SparseRows, TermSpec};
use ranef_engine::error::ModelError;
use ranef_engine::family::{self, Family, Ordinal, Thresholds, ZeroInflated};
use ranef_engine::fitting::{Control, Likelihood, precision_offset};
use ranef_engine::likelihood::data::{Data, Method};
use ranef_engine::likelihood::marginal::{Correlation, Covariate, Residual, Spread};
use ranef_engine::prediction::{NewColumns, NewDesign};
use ranef_engine::residual_correlation::{self, Shape};
use ranef_engine::variance_function;
use std::sync::Arc;

/// The value under `key`, which must be there.
pub fn required<'py, T>(dict: &Bound<'py, PyDict>, key: &str) -> PyResult<T>
where
    T: for<'a> FromPyObject<'a, 'py, Error: Into<PyErr>>,
{
    dict.get_item(key)?.ok_or_else(|| refuse("spec", format!("{key} is missing")))?.extract().map_err(Into::into)
}

/// The data and the likelihood of a spec.
pub fn read(spec: &Bound<'_, PyDict>) -> PyResult<(Data, Likelihood)> {
    let card: Bound<'_, PyDict> = required(spec, "family")?;
    let name: String = required(&card, "name")?;
    let link: Option<String> = required(&card, "link")?;
    let zero_inflated: bool = required(&card, "zero_inflated")?;
    let mut ordinal = Ordinal::default();
    if let Some(categories) = required::<Option<usize>>(&card, "categories")? {
        ordinal.categories = categories;
    }
    if let Some(structure) = required::<Option<String>>(&card, "thresholds")? {
        ordinal.thresholds = Thresholds::from_name(&structure)
            .ok_or_else(|| refuse("spec", format!("there are no thresholds {structure:?}")))?;
    }
    let y: PyReadonlyArray1<'_, f64> = required(spec, "y")?;
    let y = y.as_array().to_vec();
    let custom = card.get_item("custom")?.filter(|custom| !custom.is_none());
    let custom = custom.map(|custom| custom.cast_into::<Custom>()).transpose()?;
    let family: Arc<dyn Family> = match custom {
        None => family::build_ordinal(&name, link.as_deref(), zero_inflated, ordinal)
            .map_err(|error| raised(error.into()))?
            .into(),
        Some(custom) if !zero_inflated => Arc::new(custom.get().for_response(&y)),
        Some(custom) => {
            let inflated = ZeroInflated::new(Box::new(custom.get().for_response(&y)));
            Arc::new(inflated.map_err(|error| raised(error.into()))?)
        }
    };
    let n = y.len();
    let trials = optional_vector(spec, "trials", n)?;
    check_response(&*family, &y, trials.as_deref()).map_err(raised)?;
    let weights = optional_vector(spec, "weights", n)?;
    let profiled: bool = required(spec, "profiled")?;
    if let Some(row) = weights.iter().flatten().position(|w| *w < 0.0 || (profiled && *w == 0.0)) {
        let needs = if profiled { "more than 0" } else { "0 or more" };
        return Err(refuse(
            "data",
            format!(
                "weights must be {needs}; row {row} has {}",
                weights.iter().flatten().nth(row).unwrap_or(&f64::NAN)
            ),
        ));
    }
    let mut fixed = read_fixed(spec, n)?;
    if fixed.len() != family.components().len() {
        let message = format!("{name} has {} predictors, not {}", family.components().len(), fixed.len());
        return Err(refuse("spec", message));
    }
    let design_terms = read_terms(spec, n, fixed.len())?;
    let couplings = read_couplings(spec, &design_terms)?;
    let method: String = required(spec, "method")?;
    let reml = method == "reml";
    let residual = spec.get_item("residual")?.filter(|residual| !residual.is_none());
    let likelihood = if profiled {
        if let Some(w) = &weights {
            let given = fixed[1].offset().map_or_else(|| vec![0.0; n], <[f64]>::to_vec);
            fixed[1].set_offset(Some(precision_offset(w).iter().zip(given).map(|(w, given)| w + given).collect()));
        }
        match residual {
            None => Likelihood::Profiled { reml, weights: weights.clone() },
            Some(residual) => {
                let residual = Arc::new(read_residual(&residual.cast_into::<PyDict>()?, n)?);
                Likelihood::Marginal { reml, weights: weights.clone(), residual }
            }
        }
    } else {
        let points: usize = required(spec, "quadrature")?;
        Likelihood::Laplace(match (method.as_str(), points) {
            ("ml", 0) => Method::Profile,
            ("ml", 1) => Method::Ml,
            ("ml", points) => Method::Quadrature(points),
            ("reml", 1) => Method::Reml,
            (method, points) => {
                return Err(refuse("spec", format!("there is no method {method:?} with {points} quadrature points")));
            }
        })
    };
    let mut design = Design::new(n, fixed, read_groups(spec, n)?, design_terms);
    if couplings.iter().any(Option::is_some) {
        if profiled {
            return Err(refuse("spec", "coupled effects are not profiled"));
        }
        design = design.coupled(couplings);
    }
    let assumed = assumptions::read(spec, &design)?;
    if profiled && !(assumed.penalties.is_empty() && assumed.constraints.is_empty()) {
        return Err(refuse("spec", "a profiled likelihood takes no priors and no parameters held or tied"));
    }
    design = design.assuming(assumed);
    let weights = if profiled { None } else { weights };
    Ok((Data { y, trials, weights, family, design: Arc::new(design) }, likelihood))
}

/// The first response that the family cannot produce.
pub fn check_response(family: &dyn Family, y: &[f64], trials: Option<&[f64]>) -> Result<(), ModelError> {
    for (row, &value) in y.iter().enumerate() {
        let of = trials.map_or(1.0, |trials| trials[row]);
        if let Err(needs) = family.check_response(value, of) {
            return Err(ModelError::Response {
                row,
                value,
                family: family.card().name.to_owned(),
                needs: needs.to_owned(),
                alternatives: family::alternatives(family, y, trials),
            });
        }
    }
    Ok(())
}

fn read_fixed(spec: &Bound<'_, PyDict>, n: usize) -> PyResult<Vec<Fixed>> {
    let predictors: Bound<'_, PyList> = required(spec, "predictors")?;
    predictors
        .iter()
        .map(|entry| {
            let entry = entry.cast_into::<PyDict>()?;
            let (x, offset): (Bound<'_, PyAny>, _) = (required(&entry, "x")?, optional_vector(&entry, "offset", n)?);
            Ok(match read_columns(&x, n)? {
                Columns::Intercept => Fixed::intercept(n, offset),
                Columns::Dense(x) => Fixed::from_columns(n, x, offset),
                Columns::ByLevel { dense, places, levels } => Fixed::by_level(n, dense, &places, &levels, offset),
            })
        })
        .collect()
}

/// A matrix of fixed effects.
enum Columns {
    /// An intercept alone, which takes no memory.
    Intercept,
    /// n x p, column-major.
    Dense(Vec<f64>),
    /// Columns of the levels of a factor, and dense ones with their places.
    ByLevel { dense: Vec<f64>, places: Vec<usize>, levels: LevelColumns },
}

/// An array; or an object that describes itself by `spec()`, as `LevelColumns` does.
fn read_columns(x: &Bound<'_, PyAny>, n: usize) -> PyResult<Columns> {
    if !x.hasattr("spec")? {
        return Ok(if intercept_alone(x, n)? { Columns::Intercept } else { Columns::Dense(matrix(x, "x", n)?.0) });
    }
    let spec = x.call_method0("spec")?.cast_into::<PyDict>()?;
    let (dense, width) = matrix(&required::<Bound<'_, PyAny>>(&spec, "dense")?, "x", n)?;
    let places: Vec<usize> = required(&spec, "places")?;
    let count: usize = required(&spec, "levels")?;
    let codes = read_codes(&spec, "codes", n)?;
    let rows: Vec<Vec<i64>> = required(&spec, "columns")?;
    let values: Bound<'_, PyList> = required(&spec, "values")?;
    let values = values
        .iter()
        .map(|values| {
            if values.is_none() {
                return Ok(None);
            }
            Ok(Some(values.extract::<PyReadonlyArray1<'_, f64>>()?.as_array().to_vec()))
        })
        .collect::<PyResult<Vec<Option<Vec<f64>>>>>()?;
    let fits = rows.len() == values.len()
        && rows.iter().all(|row| row.len() == count)
        && values.iter().flatten().all(|values| values.len() == n)
        && codes.iter().all(|&code| (code as usize) < count)
        && width == places.len();
    if !fits {
        return Err(refuse("spec", "columns of levels need a place for each level and a value for each row"));
    }
    if let Some(row) = values.iter().flatten().flat_map(|values| values.iter().position(|v| !v.is_finite())).next() {
        return Err(refuse("data", format!("x is not finite in row {row}")));
    }
    let places_of = |row: Vec<i64>| row.into_iter().map(|place| usize::try_from(place).ok()).collect();
    let levels = LevelColumns { codes, levels: count, values, places: rows.into_iter().map(places_of).collect() };
    Ok(Columns::ByLevel { dense, places, levels })
}

/// X of new rows.
fn read_new_columns(x: &Bound<'_, PyAny>, n: usize) -> PyResult<NewColumns> {
    Ok(match read_columns(x, n)? {
        Columns::Intercept => NewColumns::Dense(vec![1.0; n]),
        Columns::Dense(x) => NewColumns::Dense(x),
        Columns::ByLevel { dense, places, levels } => {
            NewColumns::Sparse(SparseRows::of_levels(&dense, &places, &levels))
        }
    })
}

fn read_codes(value: &Bound<'_, PyDict>, key: &str, n: usize) -> PyResult<Vec<u32>> {
    let codes: PyReadonlyArray1<'_, u32> = required(value, key)?;
    if codes.len()? != n {
        return Err(refuse("spec", format!("{key} must have a code for each row")));
    }
    Ok(codes.as_array().to_vec())
}

/// The residuals of a marginal likelihood: blocks, correlation, variance functions.
fn read_residual(spec: &Bound<'_, PyDict>, n: usize) -> PyResult<Residual> {
    let correlation = spec.get_item("correlation")?.filter(|correlation| !correlation.is_none());
    let correlation = correlation
        .map(|correlation| -> PyResult<Correlation> {
            let correlation = correlation.cast_into::<PyDict>()?;
            let name: String = required(&correlation, "name")?;
            let places: Bound<'_, PyAny> = required(&correlation, "places")?;
            let (columns, width) = matrix(&places, "a place", n)?;
            let shape = Shape {
                orders: required(&correlation, "orders")?,
                nugget: required(&correlation, "nugget")?,
                occasions: required(&correlation, "occasions")?,
                largest: required(&correlation, "largest")?,
                distance: required(&correlation, "distance")?,
            };
            let structure = residual_correlation::build(&name, &shape)
                .ok_or_else(|| refuse("spec", format!("there is no correlation structure {name:?}")))?;
            let groups = read_codes(&correlation, "groups", n)?;
            let places =
                (0..n).flat_map(|i| (0..width).map(move |j| (i, j))).map(|(i, j)| columns[j * n + i]).collect();
            Ok(Correlation { structure, groups, places, width })
        })
        .transpose()?;
    let functions: Bound<'_, PyList> = required(spec, "spreads")?;
    let spreads = functions
        .iter()
        .map(|entry| {
            let entry = entry.cast_into::<PyDict>()?;
            let name: String = required(&entry, "name")?;
            let function = variance_function::build(&name)
                .ok_or_else(|| refuse("spec", format!("there is no variance function {name:?}")))?;
            let covariate = optional_vector(&entry, "covariate", n)?.map_or(Covariate::Fitted, Covariate::Values);
            Ok(Spread { function, covariate })
        })
        .collect::<PyResult<Vec<_>>>()?;
    Ok(Residual { blocks: read_codes(spec, "blocks", n)?, correlation, spreads })
}

fn read_groups(spec: &Bound<'_, PyDict>, n: usize) -> PyResult<Vec<(Vec<u32>, usize)>> {
    let groups: Bound<'_, PyList> = required(spec, "groups")?;
    groups
        .iter()
        .map(|entry| {
            let entry = entry.cast_into::<PyDict>()?;
            let codes: PyReadonlyArray1<'_, u32> = required(&entry, "codes")?;
            let codes = codes.as_array().to_vec();
            let levels: usize = required(&entry, "levels")?;
            if codes.len() != n || codes.iter().any(|&code| code as usize >= levels) {
                return Err(refuse("spec", "codes must be one level below `levels` for each row"));
            }
            Ok((codes, levels))
        })
        .collect()
}

fn read_terms(spec: &Bound<'_, PyDict>, n: usize, predictors: usize) -> PyResult<Vec<TermSpec>> {
    let groups: Bound<'_, PyList> = required(spec, "groups")?;
    let terms: Bound<'_, PyList> = required(spec, "terms")?;
    terms
        .iter()
        .map(|entry| {
            let entry = entry.cast_into::<PyDict>()?;
            let (predictor, grouping): (usize, usize) = (required(&entry, "predictor")?, required(&entry, "group")?);
            if predictor >= predictors || grouping >= groups.len() {
                return Err(refuse("spec", "a term names a predictor or a group that is not there"));
            }
            let columns: Bound<'_, PyAny> = required(&entry, "columns")?;
            let (columns, width) = random_columns(&columns, n)?;
            let card: Bound<'_, PyDict> = required(&entry, "covariance")?;
            let name: String = required(&card, "name")?;
            let rank = card.get_item("d")?.map(|rank| rank.extract::<usize>()).transpose()?;
            if let Some(rank) = rank.filter(|rank| !(1..=width).contains(rank)) {
                return Err(refuse(
                    "spec",
                    format!("d = {rank} latent variables for {width} columns: give 1 to {width}"),
                ));
            }
            let correlation = card.get_item("correlation")?.map(|factor| matrix(&factor, "correlation", width));
            let covariance = match name.as_str() {
                "unit" => covariance::unit(width),
                "us" if correlation.is_some() => {
                    covariance::with_correlation(width, correlation.transpose()?.map_or_else(Vec::new, |found| found.0))
                }
                _ => covariance::build_with(&name, width, &covariance::Options { rank })
                    .map_err(|error| raised(error.into()))?,
            };
            Ok(TermSpec { predictor, grouping, columns, covariance })
        })
        .collect()
}

/// How the levels of each term's grouping factor depend on each other.
fn read_couplings(spec: &Bound<'_, PyDict>, terms: &[TermSpec]) -> PyResult<Vec<Option<Box<dyn Coupling>>>> {
    let groups: Bound<'_, PyList> = required(spec, "groups")?;
    let list: Bound<'_, PyList> = required(spec, "terms")?;
    list.iter()
        .zip(terms)
        .map(|(entry, term)| {
            let coupling = entry.cast_into::<PyDict>()?.get_item("coupling")?.filter(|coupling| !coupling.is_none());
            let Some(coupling) = coupling else { return Ok(None) };
            let levels: usize = required(&groups.get_item(term.grouping)?.cast_into::<PyDict>()?, "levels")?;
            if terms.iter().filter(|other| other.grouping == term.grouping).count() > 1 {
                return Err(refuse("spec", "a coupled grouping factor belongs to one term"));
            }
            let coupling = coupling::read(&coupling.cast_into::<PyDict>()?, levels)?;
            if term.columns.len() > 1 && matches!(coupling.form(), Form::Correlation(_)) {
                return Err(refuse("model", "several columns need a sparse precision; give the inverse of the matrix"));
            }
            Ok(Some(coupling))
        })
        .collect()
}

/// Whether the columns are an intercept that is one value repeated without memory.
fn intercept_alone(value: &Bound<'_, PyAny>, n: usize) -> PyResult<bool> {
    let array: numpy::PyReadonlyArray2<'_, f64> = value.extract()?;
    let view = array.as_array();
    Ok(view.dim() == (n, 1) && view.strides()[0] == 0 && view.first() == Some(&1.0))
}

/// A term's columns and their number. An intercept that takes no memory is not written out.
fn random_columns(value: &Bound<'_, PyAny>, n: usize) -> PyResult<(Vec<Column>, usize)> {
    if intercept_alone(value, n)? {
        return Ok((vec![Column::One], 1));
    }
    let (values, width) = matrix(value, "a random-effects column", n)?;
    Ok((values.chunks_exact(n.max(1)).map(Column::new).collect(), width))
}

/// How to fit.
pub fn control(control: &Bound<'_, PyDict>) -> PyResult<(Control, Option<usize>, Option<f64>)> {
    let mut out = Control::default();
    if let Some(value) = control.get_item("max_iter")? {
        out.max_iterations = value.extract()?;
    }
    if let Some(value) = control.get_item("gradient_tol")? {
        out.gradient_tolerance = value.extract()?;
    }
    if let Some(value) = control.get_item("optimizer")? {
        let name: String = value.extract()?;
        if name != "trust_region" {
            return Err(refuse("control", format!("there is no optimizer {name:?}; the optimizers are trust_region")));
        }
    }
    let threads = match control.get_item("threads")? {
        Some(value) if !value.is_none() => Some(value.extract()?),
        _ => None,
    };
    let seconds = match control.get_item("max_seconds")? {
        Some(value) if !value.is_none() => Some(value.extract()?),
        _ => None,
    };
    Ok((out, threads, seconds))
}

/// The rows of a new design: x and offset by predictor, codes and columns by term.
pub fn new_design(design: &Bound<'_, PyDict>) -> PyResult<NewDesign> {
    let list = |key: &str| -> PyResult<Bound<'_, PyList>> { required(design, key) };
    let codes: Vec<Vec<i64>> = list("codes")?
        .iter()
        .map(|codes| Ok(codes.extract::<PyReadonlyArray1<'_, i64>>()?.as_array().to_vec()))
        .collect::<PyResult<_>>()?;
    let x_list = list("x")?;
    let n = x_list.get_item(0)?.len()?;
    let x = x_list.iter().map(|x| read_new_columns(&x, n)).collect::<PyResult<_>>()?;
    let offset = list("offset")?
        .iter()
        .map(|offset| {
            if offset.is_none() {
                return Ok(None);
            }
            Ok(Some(offset.extract::<PyReadonlyArray1<'_, f64>>()?.as_array().to_vec()))
        })
        .collect::<PyResult<_>>()?;
    let columns = list("columns")?.iter().map(|z| Ok(matrix(&z, "columns", n)?.0)).collect::<PyResult<_>>()?;
    if codes.iter().any(|codes| codes.len() != n) {
        return Err(refuse("spec", "codes need a value for each row"));
    }
    Ok(NewDesign { n, x, offset, codes, columns })
}
