//! The engine's refusals as one Python exception: `EngineError(kind, message, details)`.
use pyo3::create_exception;
use pyo3::exceptions::{PyException, PyRuntimeError};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use ranef_engine::error::ModelError;
use ranef_engine::family::Family;

create_exception!(_engine, EngineError, PyException, "The engine refuses: args are (kind, message, details).");

create_exception!(
    _engine,
    EngineFault,
    PyRuntimeError,
    "A fault of ranef itself, which asks to be reported; the session can go on."
);

/// A refusal of a kind, without details.
pub fn refuse(kind: &'static str, message: impl Into<String>) -> PyErr {
    let message = message.into();
    Python::attach(|py| EngineError::new_err((kind, message, PyDict::new(py).unbind())))
}

/// The Python form of the engine's error.
pub fn raised(error: ModelError) -> PyErr {
    match error {
        ModelError::Family(error) => refuse("family", error.to_string()),
        ModelError::Covariance(error) => refuse("covariance", error.to_string()),
        ModelError::Profiled(error) => refuse("data", error.to_string()),
        ModelError::Restriction(message) => refuse("model", message),
        ModelError::Shape(message) => refuse("data", message),
        ModelError::Response { row, value, family, needs, alternatives } => Python::attach(|py| {
            let details = PyDict::new(py);
            let filled = details
                .set_item("row", row)
                .and_then(|()| details.set_item("value", value))
                .and_then(|()| details.set_item("families", &alternatives.families))
                .and_then(|()| details.set_item("zero_inflation", alternatives.zero_inflation));
            match filled {
                Ok(()) => {
                    let message = format!("the {family} family needs {needs}");
                    EngineError::new_err(("response", message, details.unbind()))
                }
                Err(error) => error,
            }
        }),
    }
}

/// Raises what went wrong in a user's own family, which the engine's answers cannot say.
pub fn intact(family: &dyn Family) -> PyResult<()> {
    family.failure().map_or(Ok(()), |message| Err(refuse("family", message)))
}
