//! The likelihood without random effects: a start for the models that have them.
//!
//! - sum_i w_i l_i(eta_i),  eta_k = X_k beta_k + offset_k, with its exact gradient and curvature.
use super::curvature::{is_semidefinite, make_semidefinite};
use super::data::Data;
use super::row_pass;
use crate::family::Derivatives;
use crate::objective::Objective;
use std::sync::Arc;

/// The negative log likelihood of independent rows, in the beta~ of all predictors.
pub struct Independent {
    data: Arc<Data>,
    starts: Vec<usize>,
    dim: usize,
    eta: Vec<Vec<f64>>,
    rows: Derivatives,
}

impl Independent {
    /// Of `data`, with its random effects left out.
    pub fn new(data: Arc<Data>) -> Self {
        let mut dim = 0;
        let starts = data
            .design
            .fixed
            .iter()
            .map(|fixed| {
                dim += fixed.p();
                dim - fixed.p()
            })
            .collect();
        Self { data, starts, dim, eta: Vec::new(), rows: Derivatives::default() }
    }

    /// The constants that the family starts from, as beta~.
    pub fn start(&self) -> Vec<f64> {
        let (data, design) = (&self.data, &self.data.design);
        let offset = design.fixed[0].offset();
        let constants = data.family.start(&data.y, data.trials.as_deref(), data.weights.as_deref(), offset);
        let mut x = vec![0.0; self.dim];
        for ((fixed, &first), constant) in design.fixed.iter().zip(&self.starts).zip(constants) {
            let own: Vec<f64> = match (fixed.offset(), first) {
                (Some(offset), f) if f > 0 => offset.iter().map(|o| constant - o).collect(),
                _ => vec![constant; design.n],
            };
            x[first..][..fixed.p()].copy_from_slice(&fixed.project(&own));
        }
        x
    }

    /// Linear predictors at x, by predictor.
    pub fn eta(&self, x: &[f64]) -> Vec<Vec<f64>> {
        let mut eta: Vec<Vec<f64>> = self.starts.iter().map(|_| vec![0.0; self.data.design.n]).collect();
        self.eta_into(x, &mut eta);
        eta
    }

    fn eta_into(&self, x: &[f64], eta: &mut [Vec<f64>]) {
        for ((fixed, &first), eta) in self.data.design.fixed.iter().zip(&self.starts).zip(eta) {
            fixed.predict_into(&x[first..first + fixed.p()], eta);
        }
    }

    /// Row derivatives at the point evaluated last (of the log density, negated and weighted).
    pub fn rows(&self) -> &Derivatives {
        &self.rows
    }
}

impl Objective for Independent {
    fn dim(&self) -> usize {
        self.dim
    }

    fn value_gradient(&mut self, x: &[f64], gradient: &mut [f64]) -> f64 {
        if x.iter().any(|value| !value.is_finite()) {
            return f64::INFINITY;
        }
        let mut eta = std::mem::take(&mut self.eta);
        eta.resize_with(self.starts.len(), || vec![0.0; self.data.design.n]);
        self.eta_into(x, &mut eta);
        self.eta = eta;
        let data = &self.data;
        let value = -row_pass::evaluate(data, &self.eta, 2, &mut self.rows);
        for ((fixed, g), &first) in data.design.fixed.iter().zip(&self.rows.first).zip(&self.starts) {
            gradient[first..first + fixed.p()].copy_from_slice(&fixed.gather(g));
        }
        if value.is_nan() { f64::INFINITY } else { value }
    }

    fn metric(&mut self, _x: &[f64]) -> Vec<f64> {
        let design = &self.data.design;
        if is_semidefinite(&self.rows.second, design.n_predictors()) {
            return design.fixed_crossproduct(&self.rows.second);
        }
        let mut w = self.rows.second.clone();
        make_semidefinite(&mut w, design.n_predictors());
        design.fixed_crossproduct(&w)
    }
}
