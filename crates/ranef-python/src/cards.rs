//! The engine's catalogues as Python values: the only lists of families and structures that Python reads.
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use ranef_engine::{covariance, family, residual_correlation, variance_function};

/// The cards of all families.
#[pyfunction]
pub fn families(py: Python<'_>) -> PyResult<Bound<'_, PyList>> {
    let list = PyList::empty(py);
    for entry in family::CATALOGUE {
        let (card, dict) = (entry.card, PyDict::new(py));
        dict.set_item("name", card.name)?;
        dict.set_item("title", card.title)?;
        dict.set_item("links", card.links.iter().map(|link| link.name()).collect::<Vec<_>>())?;
        let parameters = PyList::empty(py);
        for parameter in card.parameters {
            let entry = PyDict::new(py);
            entry.set_item("name", parameter.name)?;
            entry.set_item("component", parameter.component.as_str())?;
            entry.set_item("link", parameter.link.name())?;
            entry.set_item("meaning", parameter.meaning)?;
            parameters.append(entry)?;
        }
        dict.set_item("parameters", parameters)?;
        dict.set_item("support", card.support.as_str())?;
        dict.set_item("zero_inflation", card.zero_inflation)?;
        dict.set_item("variance", card.variance)?;
        dict.set_item("reference", card.reference)?;
        list.append(dict)?;
    }
    Ok(list)
}

/// The cards of all covariance structures.
#[pyfunction]
pub fn covariances(py: Python<'_>) -> PyResult<Bound<'_, PyList>> {
    let list = PyList::empty(py);
    let cards = covariance::CATALOGUE.iter().map(|entry| entry.card).chain(covariance::coupling::CARDS.iter().copied());
    for card in cards {
        let dict = PyDict::new(py);
        dict.set_item("name", card.name)?;
        dict.set_item("title", card.title)?;
        dict.set_item("parameters", card.parameters)?;
        dict.set_item("reference", card.reference)?;
        list.append(dict)?;
    }
    Ok(list)
}

/// The cards of all correlation structures of the residuals.
#[pyfunction]
pub fn residual_correlations(py: Python<'_>) -> PyResult<Bound<'_, PyList>> {
    let list = PyList::empty(py);
    for entry in residual_correlation::CATALOGUE {
        let (card, dict) = (entry.card, PyDict::new(py));
        dict.set_item("name", card.name)?;
        dict.set_item("title", card.title)?;
        dict.set_item("parameters", card.parameters)?;
        dict.set_item("places", card.places)?;
        dict.set_item("reference", card.reference)?;
        list.append(dict)?;
    }
    Ok(list)
}

/// The cards of all variance functions.
#[pyfunction]
pub fn variance_functions(py: Python<'_>) -> PyResult<Bound<'_, PyList>> {
    let list = PyList::empty(py);
    for entry in variance_function::CATALOGUE {
        let (card, dict) = (entry.card, PyDict::new(py));
        dict.set_item("name", card.name)?;
        dict.set_item("title", card.title)?;
        dict.set_item("parameters", card.parameters)?;
        dict.set_item("needs_nonzero", card.needs_nonzero)?;
        dict.set_item("reference", card.reference)?;
        list.append(dict)?;
    }
    Ok(list)
}
