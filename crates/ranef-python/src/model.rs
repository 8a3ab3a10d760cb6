//! A model in plain values, checked.
use crate::arrays::{table, vector};
use crate::assumptions;
use crate::errors::{intact, raised, refuse};
use crate::fitted::Fitted;
use crate::outside::{fit_detached, unlocked};
use crate::spec;
use numpy::PyReadonlyArray1;
use numpy::PyReadonlyArray2;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use ranef_engine::fitting::{Control, Likelihood, fit, profiled_of};
use ranef_engine::likelihood::data::{Data, Method};
use ranef_engine::likelihood::laplace::Laplace;
use ranef_engine::objective::Objective;
use std::sync::Arc;

/// A model in plain values, checked.
#[pyclass(frozen, module = "ranef._engine")]
pub struct Model {
    data: Arc<Data>,
    likelihood: Likelihood,
}

impl Model {
    /// The observations and their design.
    pub fn data(&self) -> Arc<Data> {
        self.data.clone()
    }

    /// What is maximised.
    pub fn likelihood(&self) -> &Likelihood {
        &self.likelihood
    }
}

#[pymethods]
impl Model {
    #[new]
    fn new(spec: &Bound<'_, PyDict>) -> PyResult<Self> {
        let (data, likelihood) = spec::read(spec)?;
        Ok(Self { data: Arc::new(data), likelihood })
    }

    #[getter]
    fn kept(&self) -> Vec<Vec<usize>> {
        self.data.design.fixed.iter().map(|fixed| fixed.kept().to_vec()).collect()
    }

    #[getter]
    fn aliased(&self) -> Vec<Vec<usize>> {
        self.data.design.fixed.iter().map(|fixed| fixed.aliased().to_vec()).collect()
    }

    fn fit(&self, py: Python<'_>, control: &Bound<'_, PyDict>) -> PyResult<Fitted> {
        let mut settings = spec::control(control)?;
        if let Some(start) = control.get_item("start")? {
            let start = start.cast_into::<PyDict>()?;
            if let Some(mode) = start.get_item("mode")? {
                settings.0.start_mode = mode.extract::<PyReadonlyArray1<'_, f64>>()?.as_array().to_vec();
            }
            settings.0.start = Some(self.start(&start)?);
        }
        if let Some(near) = control.get_item("start_values")? {
            settings.0.start_values = assumptions::values(&self.data.design, near.extract()?)?;
        }
        let work = |control: &Control| fit(self.data.clone(), self.likelihood.clone(), control);
        let result = fit_detached(py, &mut settings, self.data.y.len(), work);
        intact(&*self.data.family)?;
        let (fitted, seconds) = result?;
        Ok(Fitted::new(fitted, seconds))
    }

    /// Criterion at given parameters, with its gradient.
    #[pyo3(signature = (beta, factor, gradient = true))]
    fn evaluate<'py>(
        &self,
        py: Python<'py>,
        beta: &Bound<'py, PyList>,
        factor: &Bound<'py, PyList>,
        gradient: bool,
    ) -> PyResult<Bound<'py, PyDict>> {
        let out = PyDict::new(py);
        let (value, betas, factors) = match &self.likelihood {
            Likelihood::Laplace(method) => self.evaluate_laplace(py, *method, beta, factor)?,
            Likelihood::Profiled { reml, weights } => self.evaluate_profiled(py, *reml, weights.as_deref(), factor)?,
            Likelihood::Marginal { .. } => {
                return Err(refuse("spec", "the marginal likelihood is evaluated by its fit only"));
            }
        };
        out.set_item("value", value)?;
        if gradient {
            out.set_item("beta", PyList::new(py, betas.into_iter().map(|g| vector(py, g)))?)?;
            let tables = factors.into_iter().enumerate().map(|(term, g)| {
                let p = self.data.design.places[term].width;
                table(py, p, g.len() / p, g)
            });
            out.set_item("factor", PyList::new(py, tables)?)?;
        }
        Ok(out)
    }
}

/// A value, its gradient by predictor and its gradient by term.
type Evaluation = (f64, Vec<Vec<f64>>, Vec<Vec<f64>>);

impl Model {
    /// theta in scaled columns from each term's Lambda in the user's units.
    fn theta(&self, factor: &Bound<'_, PyList>) -> PyResult<Vec<f64>> {
        let design = &self.data.design;
        if factor.len() != design.places.len() {
            return Err(refuse("spec", format!("{} factors for {} terms", factor.len(), design.places.len())));
        }
        let mut theta = Vec::with_capacity(design.template.n_theta());
        for (term, lambda) in factor.iter().enumerate() {
            let array: PyReadonlyArray2<'_, f64> = lambda.extract()?;
            let view = array.as_array();
            if view.nrows() != design.places[term].width {
                return Err(refuse("spec", format!("factor {term} has {} rows", view.nrows())));
            }
            let columns: Vec<f64> = view.columns().into_iter().flat_map(|c| c.to_vec()).collect();
            theta.extend(design.theta_from_original(term, &columns));
        }
        Ok(theta)
    }

    fn evaluate_laplace(
        &self,
        py: Python<'_>,
        method: Method,
        beta: &Bound<'_, PyList>,
        factor: &Bound<'_, PyList>,
    ) -> PyResult<Evaluation> {
        let design = &self.data.design;
        let mut laplace = Laplace::new(self.data.clone(), method);
        let layout = laplace.layout().clone();
        let mut x = vec![0.0; layout.dim];
        for (k, range) in layout.beta.iter().enumerate() {
            let given: PyReadonlyArray1<'_, f64> = beta.get_item(k)?.extract()?;
            let rotated = design.fixed[k].to_rotated(&given.as_array().to_vec());
            match range {
                Some(range) => x[range.clone()].copy_from_slice(&rotated),
                None => {
                    let mut mode = vec![0.0; laplace.n_effects()];
                    mode.extend(rotated);
                    laplace.set_start_mode(mode);
                }
            }
        }
        x[layout.theta.clone()].copy_from_slice(&self.theta(factor)?);
        let mut gradient = vec![0.0; layout.dim];
        // A user's own family is called back from the engine's threads, which need the interpreter's lock.
        let value = unlocked(py, || laplace.value_gradient(&x, &mut gradient))?;
        intact(&*self.data.family)?;
        if !value.is_finite() {
            return Ok((value, Vec::new(), Vec::new()));
        }
        let betas = layout
            .beta
            .iter()
            .zip(&design.fixed)
            .map(|(range, fixed)| {
                range.as_ref().map_or_else(Vec::new, |range| fixed.gradient_to_original(&gradient[range.clone()]))
            })
            .collect();
        let factors = (0..design.places.len())
            .map(|term| {
                let place = &design.places[term];
                let (row, column) = design.template.position(term);
                let (width, rank) = (design.groupings[place.grouping].width(), design.template.covariance(term).rank());
                let g = &laplace.factor_gradient()[place.grouping];
                let at = |i: usize, j: usize| g[(column + j) * width + row + i] * place.scales[i];
                (0..rank).flat_map(|j| (0..place.width).map(move |i| (i, j))).map(|(i, j)| at(i, j)).collect()
            })
            .collect();
        Ok((value, betas, factors))
    }

    fn evaluate_profiled(
        &self,
        py: Python<'_>,
        reml: bool,
        weights: Option<&[f64]>,
        factor: &Bound<'_, PyList>,
    ) -> PyResult<Evaluation> {
        let design = &self.data.design;
        let theta = self.theta(factor)?;
        let evaluated = py.detach(|| {
            profiled_of(&self.data, reml, weights).map(|mut profiled| profiled.value_factor_gradient(&theta))
        });
        let (value, slopes) = evaluated.map_err(raised)?;
        let constant = if reml { 2.0 * design.fixed[0].log_det() } else { 0.0 };
        let factors = (0..design.places.len())
            .map(|term| {
                let place = &design.places[term];
                let g = design.template.term_block(term, &slopes[place.grouping]);
                g.iter().enumerate().map(|(at, g)| g * place.scales[at % place.width]).collect()
            })
            .collect();
        Ok((value + constant, Vec::new(), factors))
    }

    /// Outer parameters from a start in the user's units: `factor`, one Lambda a term (relative to sigma for the profiled
    /// likelihood), and `beta`, one vector a predictor.
    fn start(&self, start: &Bound<'_, PyDict>) -> PyResult<Vec<f64>> {
        let Some(factor) = start.get_item("factor")? else {
            return Err(refuse("control", "start needs `factor`, the Cholesky factor of each random-effects term"));
        };
        let theta = self.theta(&factor.cast_into::<PyList>()?)?;
        let Likelihood::Laplace(method) = self.likelihood else { return Ok(theta) };
        let layout = Laplace::new(self.data.clone(), method).layout().clone();
        let mut x = vec![0.0; layout.dim];
        let Some(beta) = start.get_item("beta")? else {
            return Err(refuse("control", "start needs `beta`, the coefficients of each component"));
        };
        let beta = beta.cast_into::<PyList>()?;
        for (k, range) in layout.beta.iter().enumerate() {
            if let Some(range) = range {
                let given: PyReadonlyArray1<'_, f64> = beta.get_item(k)?.extract()?;
                let given = given.as_array().to_vec();
                if given.len() != range.len() {
                    return Err(refuse(
                        "control",
                        format!("start of predictor {k} has {} values, not {}", given.len(), range.len()),
                    ));
                }
                x[range.clone()].copy_from_slice(&self.data.design.fixed[k].to_rotated(&given));
            }
        }
        x[layout.theta].copy_from_slice(&theta);
        Ok(x)
    }
}
