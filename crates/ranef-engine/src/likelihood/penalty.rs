//! Prior densities of parameters: minus their logarithm is added to the objective, whose minimum is then the mode of the
//! posterior in the user's parameters (coefficients, standard deviations, correlations; no Jacobian).
//!
//! ```text
//! f(x) - sum_j log p_j(q_j(x)),   gradient   g(x) - sum_j (log p_j)'(q_j) dq_j/dx
//! ```
//!
//! Reference: Chung, Rabe-Hesketh, Dorie, Gelman & Liu (2013), Psychometrika 78, 685-709.
use super::laplace::Layout;
use crate::covariance::{Natural, NaturalScale};
use crate::design::{Density, Design, Penalty, Quantity, Scale, ln_lkj_constant};
use crate::linalg::{SymmetricEigen, symmetric_eigen};
use crate::objective::Objective;
use std::sync::Arc;

/// The step of the differences that give a prior's curvature in theta, which are of the size of one.
const STEP: f64 = 1e-5;

/// The prior densities of a model, in the coordinates of a layout.
#[derive(Clone, Debug)]
pub struct Penalties {
    design: Arc<Design>,
    layout: Layout,
    list: Vec<Penalty>,
    /// For a coefficient, the row that multiplies beta~.
    rows: Vec<Vec<f64>>,
}

impl Penalties {
    /// Of a design; `None` where nothing is assumed. Coefficients that are inside have no density here.
    pub fn new(design: &Arc<Design>, layout: &Layout) -> Option<Self> {
        let list: Vec<Penalty> = (design.assumptions.penalties.iter())
            .filter(|penalty| match penalty.quantity {
                Quantity::Coefficient { predictor, .. } => layout.beta[predictor].is_some(),
                _ => true,
            })
            .copied()
            .collect();
        let rows = list
            .iter()
            .map(|penalty| match penalty.quantity {
                Quantity::Coefficient { predictor, column } => design.fixed[predictor].coefficient_row(column),
                _ => Vec::new(),
            })
            .collect();
        (!list.is_empty()).then(|| Self { design: design.clone(), layout: layout.clone(), list, rows })
    }

    /// The log prior density at x; minus infinity where there is none.
    pub fn value(&self, x: &[f64]) -> f64 {
        self.value_gradient(x, &mut vec![0.0; x.len()])
    }

    /// The same; subtracts its gradient from `gradient`.
    pub fn value_gradient(&self, x: &[f64], gradient: &mut [f64]) -> f64 {
        (0..self.list.len()).map(|k| self.one(k, x, gradient)).sum()
    }

    fn one(&self, k: usize, x: &[f64], gradient: &mut [f64]) -> f64 {
        let Penalty { quantity, scale, density } = self.list[k];
        match quantity {
            Quantity::Coefficient { predictor, .. } => {
                let first = self.layout.beta[predictor].clone().expect("a coefficient outside").start;
                let (value, slope, _) = self.coefficient(k, x);
                for (m, weight) in self.rows[k].iter().enumerate() {
                    gradient[first + m] -= slope * weight;
                }
                value
            }
            Quantity::Sd { term, column } => {
                let (range, own) = self.own(term, x);
                let natural = NaturalScale::new(self.design.template.covariance(term), own);
                let sd = natural.value(Natural::Sd(column)) / self.design.places[term].scales[column];
                let (value, slope) = scaled(&density, scale, sd);
                // All that has a density at zero is even there, or takes it as the best value.
                if sd > 0.0 {
                    let scales = &self.design.places[term].scales;
                    for (m, d) in range.zip(natural.slope(Natural::Sd(column))) {
                        gradient[m] -= slope * d / scales[column];
                    }
                }
                value
            }
            Quantity::Correlations { term } => {
                let Density::Lkj { shape } = density else { unreachable!("a density of correlation matrices") };
                let constant = -ln_lkj_constant(self.design.places[term].width, shape);
                if shape == 1.0 {
                    return constant;
                }
                constant + (shape - 1.0) * self.log_det_correlation(term, shape - 1.0, x, gradient)
            }
        }
    }

    /// log |R| of a term, and `weight` times its gradient subtracted: with rows lambda_i of a triangular factor
    /// log |R| = sum_i log( Lambda_ii^2 / |lambda_i|^2 ).
    fn log_det_correlation(&self, term: usize, weight: f64, x: &[f64], gradient: &mut [f64]) -> f64 {
        let (range, own) = self.own(term, x);
        let covariance = self.design.template.covariance(term);
        let (p, natural) = (covariance.size(), NaturalScale::new(covariance, own));
        let lambda = self.design.template.term_factor(term, &x[self.layout.theta.clone()]);
        let mut derivative = vec![0.0; lambda.len()];
        let mut total = 0.0;
        for i in 0..p {
            let (pivot, sd) = (lambda[i * p + i], natural.value(Natural::Sd(i)));
            // Without variance nothing is correlated.
            if sd == 0.0 {
                continue;
            }
            total += 2.0 * (pivot.abs() / sd).ln();
            let slope = natural.slope(Natural::Sd(i));
            for (j, m) in range.clone().enumerate() {
                covariance.derivative_into(own, j, &mut derivative);
                gradient[m] -= weight * 2.0 * (derivative[i * p + i] / pivot - slope[j] / sd);
            }
        }
        total
    }

    /// log density of a coefficient with its first two derivatives along the coefficient.
    fn coefficient(&self, k: usize, x: &[f64]) -> (f64, f64, f64) {
        let Penalty { quantity, scale, density } = self.list[k];
        let Quantity::Coefficient { predictor, .. } = quantity else { unreachable!("asked of coefficients") };
        let first = self.layout.beta[predictor].clone().expect("a coefficient outside").start;
        let v: f64 = self.rows[k].iter().zip(&x[first..]).map(|(w, x)| w * x).sum();
        if scale == Scale::Exp {
            let e = v.exp();
            let [value, first, second] = density.at(e);
            return (value, first * e, second * e * e + first * e);
        }
        let [value, first, second] = density.at(v);
        (value, first, second)
    }

    fn own<'a>(&self, term: usize, x: &'a [f64]) -> (std::ops::Range<usize>, &'a [f64]) {
        let own = self.design.template.theta_range(term);
        let range = self.layout.theta.start + own.start..self.layout.theta.start + own.end;
        (range.clone(), &x[range])
    }

    /// A positive semidefinite model of the Hessian of minus the log density, added to `out` (dim x dim).
    fn add_metric(&self, x: &[f64], out: &mut [f64]) {
        let dim = x.len();
        for (k, penalty) in self.list.iter().enumerate() {
            let Quantity::Coefficient { predictor, .. } = penalty.quantity else { continue };
            let first = self.layout.beta[predictor].clone().expect("a coefficient outside").start;
            let curvature = (-self.coefficient(k, x).2).max(0.0);
            for (j, right) in self.rows[k].iter().enumerate() {
                for (i, left) in self.rows[k].iter().enumerate() {
                    out[(first + j) * dim + first + i] += curvature * left * right;
                }
            }
        }
        for term in 0..self.design.places.len() {
            let mine: Vec<usize> = (0..self.list.len())
                .filter(|&k| match self.list[k].quantity {
                    Quantity::Sd { term: t, .. } | Quantity::Correlations { term: t } => t == term,
                    Quantity::Coefficient { .. } => false,
                })
                .collect();
            let range = self.own(term, x).0;
            let size = range.len();
            if mine.is_empty() {
                continue;
            }
            let slope = |x: &[f64]| {
                let mut gradient = vec![0.0; dim];
                mine.iter().for_each(|&k| {
                    self.one(k, x, &mut gradient);
                });
                gradient[range.clone()].to_vec()
            };
            let mut block = vec![0.0; size * size];
            for j in 0..size {
                let (mut above, mut below) = (x.to_vec(), x.to_vec());
                above[range.start + j] += STEP;
                below[range.start + j] -= STEP;
                for (i, (up, down)) in slope(&above).iter().zip(slope(&below)).enumerate() {
                    let half = 0.5 * (up - down) / (2.0 * STEP);
                    block[j * size + i] += half;
                    block[i * size + j] += half;
                }
            }
            if block.iter().any(|value| !value.is_finite()) {
                continue;
            }
            let SymmetricEigen { values, vectors } = symmetric_eigen(&block, size);
            for j in 0..size {
                for i in 0..size {
                    out[(range.start + j) * dim + range.start + i] +=
                        (0..size).map(|k| values[k].abs() * vectors[k * size + i] * vectors[k * size + j]).sum::<f64>();
                }
            }
        }
    }
}

/// log density of a standard deviation and its derivative there.
fn scaled(density: &Density, scale: Scale, sd: f64) -> (f64, f64) {
    if scale == Scale::Log {
        let [value, first, _] = density.at(sd.ln());
        return (value, first / sd);
    }
    let [value, first, _] = density.at(sd);
    (value, first)
}

/// An objective with minus the log prior density added.
pub struct Penalised<'a> {
    inner: Box<dyn Objective + 'a>,
    penalties: Penalties,
}

impl<'a> Penalised<'a> {
    /// The objective with what is assumed of its parameters.
    pub fn new(inner: Box<dyn Objective + 'a>, penalties: Penalties) -> Self {
        Self { inner, penalties }
    }
}

impl Objective for Penalised<'_> {
    fn dim(&self) -> usize {
        self.inner.dim()
    }

    fn value_gradient(&mut self, x: &[f64], gradient: &mut [f64]) -> f64 {
        // Where there is no prior density there is no need for a likelihood.
        let mut slope = vec![0.0; x.len()];
        let log_prior = self.penalties.value_gradient(x, &mut slope);
        if !log_prior.is_finite() {
            return f64::INFINITY;
        }
        let value = self.inner.value_gradient(x, gradient);
        gradient.iter_mut().zip(&slope).for_each(|(g, s)| *g += s);
        value - log_prior
    }

    fn metric(&mut self, x: &[f64]) -> Vec<f64> {
        let mut out = self.inner.metric(x);
        self.penalties.add_metric(x, &mut out);
        out
    }

    fn gradients_nearby(&mut self, x: &[f64], points: &[Vec<f64>]) -> Option<Vec<Vec<f64>>> {
        let mut found = self.inner.gradients_nearby(x, points)?;
        for (point, gradient) in points.iter().zip(&mut found) {
            if !self.penalties.value_gradient(point, gradient).is_finite() {
                return None;
            }
        }
        Some(found)
    }

    fn accept(&mut self) {
        self.inner.accept();
    }
}
