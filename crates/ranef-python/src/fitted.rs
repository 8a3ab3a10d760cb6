//! What the engine found.
use crate::arrays::{optional_vector, stack, table, vector};
use crate::errors::{intact, raised, refuse};
use crate::model::Model;
use crate::outside::{fit_detached, unlocked};
use crate::spec::{check_response, control as read_control, new_design};
use numpy::{PyArray1, PyArray2, PyReadonlyArray1};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use ranef_engine::covariance::coupling::Scale;
use ranef_engine::design::Place;
use ranef_engine::family::{Component, Kind};
use ranef_engine::fitting::{Fit, Likelihood};
use ranef_engine::inference::Joint;
use ranef_engine::likelihood::data::{Data, Method};
use ranef_engine::simulation::Effects;

/// What the engine found; frozen.
#[pyclass(frozen, module = "ranef._engine")]
pub struct Fitted {
    fit: Fit,
    seconds: f64,
}

impl Fitted {
    /// Wraps a fit that took `seconds`.
    pub fn new(fit: Fit, seconds: f64) -> Self {
        Self { fit, seconds }
    }

    /// The engine's fit.
    pub fn fit(&self) -> &Fit {
        &self.fit
    }

    /// Time inside the engine.
    pub fn seconds(&self) -> f64 {
        self.seconds
    }

    fn n_terms(&self) -> usize {
        self.fit.data.design.places.len()
    }

    /// (term, index within the term) of each theta.
    fn thetas(&self) -> Vec<(usize, usize)> {
        let template = &self.fit.data.design.template;
        (0..self.n_terms()).flat_map(|term| (0..template.covariance(term).n_theta()).map(move |m| (term, m))).collect()
    }

    /// Outer parameters' covariance in the user's units, NaN for those held at the edge of their space.
    fn joint(&self) -> (Vec<f64>, Vec<(&'static str, usize, usize)>) {
        let (fit, design) = (&self.fit, &self.fit.data.design);
        let (layout, dim) = (&fit.layout, fit.layout.dim);
        let (mut map, mut names) = (vec![0.0; dim * dim], vec![("", 0, 0); dim]);
        for (k, range) in layout.beta.iter().enumerate() {
            let Some(range) = range else { continue };
            for j in 0..range.len() {
                let mut unit = vec![0.0; range.len()];
                unit[j] = 1.0;
                for (i, value) in design.fixed[k].to_original(&unit).into_iter().enumerate() {
                    map[(range.start + j) * dim + range.start + i] = value;
                }
                names[range.start + j] = ("beta", k, j);
            }
        }
        for (m, (term, index)) in self.thetas().into_iter().enumerate() {
            let at = layout.theta.start + m;
            map[at * dim + at] = 1.0 / design.theta_scale(term, index);
            names[at] = ("theta", term, index);
        }
        for (term, place) in design.places.iter().enumerate() {
            for (index, m) in design.template.coupling_range(place.grouping).enumerate() {
                let at = layout.theta.start + m;
                map[at * dim + at] = 1.0;
                names[at] = ("coupling", term, index);
            }
        }
        for at in layout.theta.end..dim {
            map[at * dim + at] = 1.0;
            names[at] = ("residual", 0, at - layout.theta.end);
        }
        let v = fit.parameter_covariance();
        let times = |a: &[f64], b: &[f64], transposed: bool| -> Vec<f64> {
            let mut out = vec![0.0; dim * dim];
            for j in 0..dim {
                for i in 0..dim {
                    out[j * dim + i] = (0..dim)
                        .map(|k| a[k * dim + i] * if transposed { b[k * dim + j] } else { b[j * dim + k] })
                        .sum();
                }
            }
            out
        };
        let mut out = times(&times(&map, v, false), &map, true);
        for m in fit.held() {
            for i in 0..dim {
                out[m * dim + i] = f64::NAN;
                out[i * dim + m] = f64::NAN;
            }
        }
        (out, names)
    }

    /// Whether sigma is one number: no dispersion, or one whose predictor is constant (but for precision weights).
    fn constant_dispersion(&self) -> bool {
        let dispersion = self.fit.data.family.components().iter().position(|c| *c == Component::Disp);
        let constant = |k: usize| self.fit.common_predictor(k).is_some();
        self.fit.profiles_sigma() || dispersion.is_none_or(constant)
    }

    fn row(&self, i: usize) -> Vec<f64> {
        self.fit.eta().iter().map(|eta| eta[i]).collect()
    }

    /// A table (levels x columns) for each term, from a value in scaled columns for each (grouping factor, level, merged
    /// column).
    fn by_effect<'py>(
        &self,
        py: Python<'py>,
        value: impl Fn(usize, usize, usize) -> f64,
    ) -> Vec<Bound<'py, PyArray2<f64>>> {
        let design = &self.fit.data.design;
        let mut tables = Vec::with_capacity(design.places.len());
        for place in &design.places {
            let levels = design.groupings[place.grouping].levels;
            let mut values = Vec::with_capacity(levels * place.width);
            for (j, scale) in place.scales.iter().enumerate() {
                values.extend((0..levels).map(|level| value(place.grouping, level, place.first + j) / scale));
            }
            tables.push(table(py, levels, place.width, values));
        }
        tables
    }

    /// A number for each row, from its linear predictors.
    fn by_row(&self, eta: &[Vec<f64>], f: impl Fn(&Data, usize, &[f64]) -> f64) -> Vec<f64> {
        let mut row = vec![0.0; eta.len()];
        (0..self.fit.data.y.len())
            .map(|i| {
                row.iter_mut().zip(eta).for_each(|(value, eta)| *value = eta[i]);
                f(&self.fit.data, i, &row)
            })
            .collect()
    }

    /// The same with the random effects of the terms in `keep` at their modes, those of the others zero.
    fn by_row_keeping<'py>(
        &self,
        py: Python<'py>,
        keep: &[bool],
        f: impl Fn(&Data, usize, &[f64]) -> f64,
    ) -> PyResult<Bound<'py, PyArray1<f64>>> {
        self.check_choices(keep)?;
        let values = self.by_row(&self.fit.eta_keeping(keep), f);
        intact(&*self.fit.data.family)?;
        Ok(vector(py, values))
    }

    fn check_choices(&self, keep: &[bool]) -> PyResult<()> {
        if keep.len() == self.n_terms() {
            return Ok(());
        }
        Err(refuse("spec", format!("{} choices for {} terms", keep.len(), self.n_terms())))
    }
}

fn kind_of(name: &str) -> PyResult<Kind> {
    Ok(match name {
        "link" => Kind::Link,
        "zlink" => Kind::ZeroLink,
        "response" => Kind::Response,
        "conditional" => Kind::Conditional,
        "zprob" => Kind::ZeroProbability,
        "dispersion" => Kind::Dispersion,
        other if other.starts_with("category ") => Kind::Category(
            other["category ".len()..].parse().map_err(|_| refuse("spec", format!("there is no {other:?}")))?,
        ),
        other => return Err(refuse("spec", format!("there is no kind {other:?}"))),
    })
}

#[pymethods]
impl Fitted {
    #[getter]
    fn loglik(&self) -> f64 {
        self.fit.loglik
    }

    #[getter]
    fn log_prior(&self) -> f64 {
        self.fit.log_prior
    }

    #[getter]
    fn n_dependent(&self) -> usize {
        self.fit.n_dependent
    }

    #[getter]
    fn method(&self) -> &'static str {
        match self.fit.likelihood {
            Likelihood::Profiled { reml: true, .. }
            | Likelihood::Marginal { reml: true, .. }
            | Likelihood::Laplace(Method::Reml) => "reml",
            Likelihood::Laplace(Method::Profile) => "profile",
            _ => "ml",
        }
    }

    #[getter]
    fn nobs(&self) -> usize {
        self.fit.data.y.len()
    }

    #[getter]
    fn n_outer(&self) -> usize {
        self.fit.optimum.x.len()
    }

    #[getter]
    fn n_theta(&self) -> usize {
        self.fit.theta.len()
    }

    #[getter]
    fn beta<'py>(&self, py: Python<'py>) -> Vec<Bound<'py, PyArray1<f64>>> {
        let fixed = &self.fit.data.design.fixed;
        self.fit.beta.iter().zip(fixed).map(|(beta, fixed)| vector(py, fixed.to_original(beta))).collect()
    }

    #[getter]
    fn vcov<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyArray2<f64>>>> {
        (0..self.fit.beta.len())
            .map(|k| {
                let p = self.fit.beta[k].len();
                let v = unlocked(py, || self.fit.fixed_covariance(k))?.unwrap_or_else(|| vec![f64::NAN; p * p]);
                Ok(table(py, p, p, v))
            })
            .collect()
    }

    /// Whether the response is normal given the parameters.
    #[getter]
    fn is_normal(&self) -> bool {
        self.fit.is_normal()
    }

    /// The covariance of the mean's fixed effects given the variance parameters, (p, p), its derivatives by these,
    /// (k, p, p), and their covariance, (k, k); None where there is none.
    #[allow(clippy::type_complexity)]
    fn satterthwaite<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<Option<(Bound<'py, PyArray2<f64>>, Bound<'py, numpy::PyArray3<f64>>, Bound<'py, PyArray2<f64>>)>>
    {
        let Some(found) = unlocked(py, || self.fit.satterthwaite())? else { return Ok(None) };
        let (p, k) = (found.covariance.len().isqrt(), found.slopes.len());
        let slopes = stack(py, k, p, found.slopes.concat());
        Ok(Some((table(py, p, p, found.covariance), slopes, table(py, k, k, found.parameters))))
    }

    /// Kenward and Roger's: covariance given the parameters (p, p), the adjusted one (p, p), derivatives of the former by
    /// the parameters of V (k, p, p), and the covariance of these, (k, k).
    #[allow(clippy::type_complexity)]
    fn kenward_roger<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<(
        Bound<'py, PyArray2<f64>>,
        Bound<'py, PyArray2<f64>>,
        Bound<'py, numpy::PyArray3<f64>>,
        Bound<'py, PyArray2<f64>>,
    )> {
        let found = unlocked(py, || self.fit.kenward_roger())?.map_err(|why| refuse("kenward-roger", why))?;
        let (p, k) = (found.covariance.len().isqrt(), found.slopes.len());
        let slopes = stack(py, k, p, found.slopes.concat());
        let (given, adjusted) = (table(py, p, p, found.covariance), table(py, p, p, found.adjusted));
        Ok((given, adjusted, slopes, table(py, k, k, found.parameters)))
    }

    #[getter]
    fn vcov_joint<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray2<f64>> {
        let dim = self.fit.layout.dim;
        table(py, dim, dim, self.joint().0)
    }

    fn joint_names(&self) -> Vec<(&'static str, usize, usize)> {
        self.joint().1
    }

    #[getter]
    fn covariance<'py>(&self, py: Python<'py>) -> Vec<Bound<'py, PyArray2<f64>>> {
        let design = &self.fit.data.design;
        (0..self.n_terms())
            .map(|term| {
                let p = design.places[term].width;
                let lambda = design.factor_in_original(term, &self.fit.theta[design.template.theta_range(term)]);
                let mut sigma = vec![0.0; p * p];
                for column in lambda.chunks_exact(p) {
                    for j in 0..p {
                        for i in 0..p {
                            sigma[j * p + i] += column[i] * column[j];
                        }
                    }
                }
                table(py, p, p, sigma)
            })
            .collect()
    }

    #[getter]
    fn factor<'py>(&self, py: Python<'py>) -> Vec<Bound<'py, PyArray2<f64>>> {
        let design = &self.fit.data.design;
        (0..self.n_terms())
            .map(|term| {
                let lambda = design.factor_in_original(term, &self.fit.theta[design.template.theta_range(term)]);
                let p = design.places[term].width;
                table(py, p, lambda.len() / p, lambda)
            })
            .collect()
    }

    #[getter]
    fn theta<'py>(&self, py: Python<'py>) -> Vec<Bound<'py, PyArray1<f64>>> {
        let design = &self.fit.data.design;
        (0..self.n_terms())
            .map(|term| vector(py, design.theta_to_original(term, &self.fit.theta[design.template.theta_range(term)])))
            .collect()
    }

    #[getter]
    fn theta_cov<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray2<f64>> {
        let (joint, dim, first) = (self.joint().0, self.fit.layout.dim, self.fit.layout.theta.start);
        let size = self.fit.theta.len();
        let out = (0..size)
            .flat_map(|j| (0..size).map(move |i| (i, j)))
            .map(|(i, j)| joint[(first + j) * dim + first + i])
            .collect();
        table(py, size, size, out)
    }

    /// Per term: standard deviations and their standard errors, correlations of columns (0, 1), (0, 2), ..., (1, 2), ...
    /// likewise; and which of both are parameters, the others following from them.
    fn variance_components<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let (template, list) = (&self.fit.data.design.template, PyList::empty(py));
        for (term, components) in self.fit.variance_components().into_iter().enumerate() {
            let (covariance, entry) = (template.covariance(term), PyDict::new(py));
            for (name, values) in [("sd", &components.sds), ("cor", &components.correlations)] {
                entry.set_item(name, vector(py, values.iter().map(|(value, _)| *value).collect()))?;
                entry.set_item(format!("{name}_se"), vector(py, values.iter().map(|(_, se)| *se).collect()))?;
            }
            entry.set_item("sds", covariance.sds())?;
            entry.set_item("cors", covariance.correlations())?;
            list.append(entry)?;
        }
        Ok(list)
    }

    /// The natural parameters of couplings: term, name, scale of intervals, estimate, its slope along theta, and which row
    /// of `theta_cov` that theta is.
    #[getter]
    fn couplings(&self) -> Vec<(usize, &'static str, &'static str, f64, f64, usize)> {
        let design = &self.fit.data.design;
        let mut found = Vec::new();
        for (term, place) in design.places.iter().enumerate() {
            let Some(coupling) = design.template.coupling(place.grouping) else { continue };
            let range = design.template.coupling_range(place.grouping);
            let theta = &self.fit.theta[range.clone()];
            for (m, natural) in coupling.parameters().iter().enumerate() {
                let (value, slope) = coupling.natural(theta, m);
                let scale = match natural.scale {
                    Scale::Correlation => "correlation",
                    Scale::Log => "log",
                };
                found.push((term, natural.name, scale, value, slope, range.start + m));
            }
        }
        found
    }

    /// The same fit to a model with further levels of coupled groups, which no row meets.
    fn extended(&self, py: Python<'_>, model: &Model) -> PyResult<Self> {
        let found = unlocked(py, || self.fit.extended(model.data()))?;
        let fit = found.ok_or_else(|| refuse("model", "the effects of new times or places could not be found"))?;
        Ok(Self { fit, seconds: self.seconds })
    }

    #[getter]
    fn sigma(&self) -> f64 {
        if !self.constant_dispersion() || self.fit.data.y.is_empty() {
            return f64::NAN;
        }
        let row = if self.fit.profiles_sigma() {
            // A normal's does not depend on the mean. Precision weights are an offset of the dispersion; sigma is the
            // value without it.
            vec![0.0, self.fit.data.design.fixed[1].to_original(&self.fit.beta[1])[0]]
        } else {
            self.row(0)
        };
        self.fit.data.family.sigma(&row)
    }

    /// Parameters of the variance functions and of the residuals' correlation: (function or None, name, scale, estimate,
    /// standard error) each.
    fn residual_parameters(&self) -> Vec<(Option<usize>, String, &'static str, f64, f64)> {
        let found = self.fit.residual_parameters().into_iter();
        found.map(|p| (p.spread, p.name, p.scale.name(), p.estimate, p.std_error)).collect()
    }

    /// What the variance functions add to the log standard deviation of each row.
    fn spread<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<f64>> {
        vector(py, self.fit.spread())
    }

    /// A value for each row, multiplied by the inverse Cholesky factor of the residuals' correlation.
    fn whitened<'py>(&self, py: Python<'py>, values: PyReadonlyArray1<'_, f64>) -> PyResult<Bound<'py, PyArray1<f64>>> {
        let values = values.as_array().to_vec();
        if values.len() != self.fit.data.y.len() {
            return Err(refuse("spec", "a value for each row is needed"));
        }
        Ok(vector(py, self.fit.whitened(values)))
    }

    #[getter]
    fn modes<'py>(&self, py: Python<'py>) -> Vec<Bound<'py, PyArray2<f64>>> {
        let design = &self.fit.data.design;
        self.by_effect(py, |grouping, level, column| self.fit.modes[design.b_index(grouping, level, column)])
    }

    #[pyo3(signature = (given_other_parameters = false))]
    fn modes_se<'py>(&self, py: Python<'py>, given_other_parameters: bool) -> PyResult<Vec<Bound<'py, PyArray2<f64>>>> {
        let joint = unlocked(py, || self.fit.joint())?;
        if let Some(Joint::Marginal(posterior)) = &joint {
            return Ok(self.by_effect(py, |grouping, level, column| posterior.effect_sd(grouping, level, column)));
        }
        let posterior = joint.and_then(|joint| match joint {
            Joint::Laplace(posterior) => Some(posterior),
            Joint::Marginal(_) => None,
        });
        let design = &self.fit.data.design;
        let psi: Vec<Vec<f64>> = posterior.as_ref().map_or_else(Vec::new, |posterior| {
            let of = |predictor| match given_other_parameters {
                true => posterior.covariance_of_predictor(predictor),
                false => posterior.parameter_covariance().to_vec(),
            };
            (0..design.fixed.len()).map(of).collect()
        });
        Ok(self.by_effect(py, |grouping, level, column| {
            let mine = |place: &&Place| {
                place.grouping == grouping && (place.first..place.first + place.width).contains(&column)
            };
            match (&posterior, design.places.iter().find(mine)) {
                (Some(posterior), Some(place)) => posterior.effect_sd(grouping, level, column, &psi[place.predictor]),
                _ => f64::NAN,
            }
        }))
    }

    fn modes_cov<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, numpy::PyArray3<f64>>>> {
        let design = &self.fit.data.design;
        let groupings = design.groupings.len();
        let conditional = unlocked(py, || self.fit.joint().map(|joint| joint.conditional_blocks(groupings)))?;
        let blocks = design
            .places
            .iter()
            .map(|place| {
                let grouping = &design.groupings[place.grouping];
                let (levels, p, width) = (grouping.levels, place.width, grouping.width());
                let mut values = vec![f64::NAN; levels * p * p];
                if let Some(conditional) = &conditional {
                    let blocks = &conditional[place.grouping];
                    for level in 0..levels {
                        for i in 0..p {
                            for j in 0..p {
                                let at = level * width * width + (place.first + j) * width + place.first + i;
                                values[level * p * p + i * p + j] = blocks[at] / (place.scales[i] * place.scales[j]);
                            }
                        }
                    }
                }
                stack(py, levels, p, values)
            })
            .collect();
        Ok(blocks)
    }

    #[getter]
    fn linear_predictor<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray2<f64>> {
        table(py, self.fit.data.y.len(), self.fit.eta().len(), self.fit.eta().concat())
    }

    #[allow(clippy::type_complexity)]
    fn predict<'py>(
        &self,
        py: Python<'py>,
        design: &Bound<'py, PyDict>,
        kind: &str,
        se: bool,
    ) -> PyResult<(Bound<'py, PyArray1<f64>>, Option<Bound<'py, PyArray1<f64>>>)> {
        let (new, kind) = (new_design(design)?, kind_of(kind)?);
        let prediction = unlocked(py, || self.fit.predict(&new, kind, se))?;
        intact(&*self.fit.data.family)?;
        Ok((vector(py, prediction.estimate), prediction.std_error.map(|error| vector(py, error))))
    }

    fn fitted_values<'py>(&self, py: Python<'py>, kind: &str) -> PyResult<Bound<'py, PyArray1<f64>>> {
        let kind = kind_of(kind)?;
        let values =
            self.by_row(self.fit.eta(), |data, _, eta| data.family.predict(kind, eta, &mut vec![0.0; eta.len()]));
        intact(&*self.fit.data.family)?;
        Ok(vector(py, values))
    }

    /// Var(y | eta) of each row with the terms to keep at their modes, the others zero.
    fn variance<'py>(&self, py: Python<'py>, keep: Vec<bool>) -> PyResult<Bound<'py, PyArray1<f64>>> {
        self.by_row_keeping(py, &keep, |data, i, eta| data.family.variance(eta, data.trials_at(i)))
    }

    /// The same of the unit deviance; NaN where the family has none.
    fn unit_deviance<'py>(&self, py: Python<'py>, keep: Vec<bool>) -> PyResult<Bound<'py, PyArray1<f64>>> {
        self.by_row_keeping(py, &keep, |data, i, eta| {
            data.family.unit_deviance(data.y[i], data.trials_at(i), eta).unwrap_or(f64::NAN)
        })
    }

    fn loglik_rows<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<f64>> {
        vector(
            py,
            self.by_row(self.fit.eta(), |data, i, eta| {
                data.weight_at(i) * data.family.log_density(data.y[i], data.trials_at(i), eta)
            }),
        )
    }

    /// Quantile residual of each row with the terms to keep at their modes, the others zero.
    fn quantile_residuals<'py>(
        &self,
        py: Python<'py>,
        keep: Vec<bool>,
        seed: u64,
    ) -> PyResult<Bound<'py, PyArray1<f64>>> {
        self.check_choices(&keep)?;
        let residuals = unlocked(py, || self.fit.quantile_residuals(&keep, seed))?;
        intact(&*self.fit.data.family)?;
        Ok(vector(py, residuals))
    }

    fn leverage<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray1<f64>>> {
        let n = self.fit.data.y.len();
        Ok(vector(py, unlocked(py, || self.fit.leverage())?.unwrap_or_else(|| vec![f64::NAN; n])))
    }

    #[pyo3(signature = (n, seed, terms, design))]
    fn simulate<'py>(
        &self,
        py: Python<'py>,
        n: usize,
        seed: u64,
        terms: Vec<String>,
        design: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyArray2<f64>>> {
        let effects = terms
            .iter()
            .map(|what| match what.as_str() {
                "fixed" => Ok(Effects::Modes),
                "new" => Ok(Effects::New),
                "zero" => Ok(Effects::Zero),
                other => Err(refuse("spec", format!("effects cannot be {other:?}"))),
            })
            .collect::<PyResult<Vec<_>>>()?;
        if effects.len() != self.n_terms() {
            return Err(refuse("spec", format!("{} effects for {} terms", effects.len(), self.n_terms())));
        }
        let new = design.map(new_design).transpose()?;
        let rows = new.as_ref().map_or(self.fit.data.y.len(), |new| new.n);
        let trials = design.map(|design| optional_vector(design, "trials", rows)).transpose()?.flatten();
        let draws = unlocked(py, || self.fit.simulate(n, seed, &effects, new.as_ref(), trials.as_deref()))?;
        intact(&*self.fit.data.family)?;
        Ok(table(py, rows, n, draws))
    }

    fn refit(
        &self,
        py: Python<'_>,
        y: PyReadonlyArray1<'_, f64>,
        trials: Option<PyReadonlyArray1<'_, f64>>,
        control: &Bound<'_, PyDict>,
    ) -> PyResult<Self> {
        let mut settings = read_control(control)?;
        let data = &self.fit.data;
        let y = y.as_array().to_vec();
        let trials = trials.map(|trials| trials.as_array().to_vec());
        if y.len() != data.y.len() {
            return Err(refuse(
                "data",
                format!("the response has {} values; the model has {} rows", y.len(), data.y.len()),
            ));
        }
        check_response(&*data.family, &y, trials.as_deref()).map_err(raised)?;
        let result = fit_detached(py, &mut settings, data.y.len(), |control| self.fit.refit(y, trials, control));
        intact(&*data.family)?;
        let (fit, seconds) = result?;
        Ok(Self::new(fit, seconds))
    }

    #[getter]
    fn converged(&self) -> bool {
        self.fit.optimum.verdict.status.is_converged()
    }

    #[getter]
    fn verdict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let (verdict, out) = (&self.fit.optimum.verdict, PyDict::new(py));
        let name = |m: usize| self.parameter_name(m);
        out.set_item("status", verdict.status.name())?;
        out.set_item("converged", verdict.status.is_converged())?;
        out.set_item("singular", verdict.is_singular())?;
        out.set_item("message", verdict.status.message())?;
        out.set_item("advice", verdict.status.advice())?;
        let known = |value: f64| value.is_finite().then_some(value);
        out.set_item("gradient_scaled", known(verdict.gradient_scaled))?;
        out.set_item("gradient_max", known(verdict.gradient_max))?;
        let (lowest, highest) = (verdict.hessian_values.first().copied(), verdict.hessian_values.last().copied());
        out.set_item("hessian_min", lowest)?;
        out.set_item("hessian_max", highest)?;
        out.set_item("condition", lowest.zip(highest).filter(|(low, _)| *low > 0.0).map(|(low, high)| high / low))?;
        out.set_item("flat", verdict.flat.iter().map(|&m| name(m)).collect::<Vec<_>>())?;
        let separated = verdict.separated.iter().map(|(k, j)| format!("beta[{k}][{j}]"));
        out.set_item("separated", separated.collect::<Vec<_>>())?;
        out.set_item("boundary", verdict.boundary.iter().map(|&m| name(m)).collect::<Vec<_>>())?;
        let terms = PyList::empty(py);
        for term in &verdict.terms {
            let entry = PyDict::new(py);
            entry.set_item("rank", term.rank)?;
            entry.set_item("size", term.size)?;
            entry.set_item("singular_values", term.singular_values.clone())?;
            entry.set_item("kkt", term.kkt)?;
            terms.append(entry)?;
        }
        out.set_item("terms", terms)?;
        let inner = PyDict::new(py);
        inner.set_item("iterations", self.fit.inner_iterations)?;
        inner.set_item("decrement", known(verdict.inner_decrement))?;
        inner.set_item("positive_definite", verdict.inner_definite)?;
        out.set_item("inner", inner)?;
        Ok(out)
    }

    #[getter]
    fn optimum<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let (optimum, out) = (&self.fit.optimum, PyDict::new(py));
        out.set_item("iterations", optimum.trace.len())?;
        out.set_item("evaluations", optimum.evaluations)?;
        out.set_item("inner_iterations", self.fit.inner_iterations)?;
        out.set_item("gradient_norm", optimum.verdict.gradient_scaled)?;
        out.set_item("seconds", self.seconds)?;
        out.set_item("message", optimum.verdict.status.message())?;
        let trace = PyList::empty(py);
        for step in &optimum.trace {
            let entry = PyDict::new(py);
            entry.set_item("value", step.value)?;
            entry.set_item("gradient", step.gradient)?;
            entry.set_item("radius", step.radius)?;
            entry.set_item("accepted", step.accepted)?;
            trace.append(entry)?;
        }
        out.set_item("trace", trace)?;
        let remedies: Vec<String> = optimum.remedies.iter().map(|remedy| remedy.message()).collect();
        out.set_item("remedies", remedies)?;
        Ok(out)
    }
}

impl Fitted {
    /// The name of a parameter of the search: "theta[term][index]" or "beta[predictor][column]".
    fn parameter_name(&self, m: usize) -> String {
        let shift = usize::from(self.fit.profiles_sigma());
        let (_, names) = self.joint();
        let (what, which, index) = names[m + shift];
        format!("{what}[{which}][{index}]")
    }
}
