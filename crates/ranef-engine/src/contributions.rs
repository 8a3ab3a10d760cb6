//! What sets of rows contribute to the likelihood: their gradient and information at the estimates.
//!
//! A set of rows that shares no random effects with the others contributes a term of its own to the log likelihood,
//!
//! ```text
//! log L(x) = sum over sets of log L_j(x),   s_j = d log L_j / d x,   I_j = - d^2 log L_j / d x^2,
//! ```
//!
//! where L_j is the (approximate) likelihood of the model of its rows alone. At the maximum the s_j sum to zero and the
//! I_j to the observed information. x holds the coefficients of every predictor and theta, in the user's units.
//!
//! Reference: White (1982), Econometrica 50, 1-25; Freedman (2006), The American Statistician 60, 299-302.
use crate::fitting::Fit;
use crate::inference::gradient_differences;
use crate::likelihood::data::{Data, Method};
use crate::likelihood::laplace::{Laplace, Layout};
use crate::objective::Objective;
use rayon::prelude::*;
use std::sync::Arc;

/// What some rows contribute.
#[derive(Clone, Debug)]
pub struct Contribution {
    /// The log likelihood of these rows alone.
    pub loglik: f64,
    /// Its gradient.
    pub gradient: Vec<f64>,
    /// Minus its Hessian, column-major; empty where it was not asked for.
    pub information: Vec<f64>,
}

impl Fit {
    /// The contribution of each set of rows, with the information of each where that is wanted; `None` where the
    /// likelihood of a set cannot be evaluated. For likelihoods of fixed effects that are not integrated out.
    pub fn contributions(&self, sets: &[Vec<usize>], information: bool) -> Option<Vec<Contribution>> {
        let method = match self.method() {
            Method::Quadrature(points) => Method::Quadrature(points),
            _ => Method::Ml,
        };
        let layout = Layout::new(&self.data.design, method);
        let x: Vec<f64> = self.beta.iter().flatten().chain(&self.theta).copied().collect();
        sets.par_iter().map(|rows| self.contribution(rows, method, &layout, &x, information)).collect()
    }

    fn contribution(
        &self,
        rows: &[usize],
        method: Method,
        layout: &Layout,
        x: &[f64],
        information: bool,
    ) -> Option<Contribution> {
        let (old, dim) = (&self.data, layout.dim);
        let subset = old.design.of_rows(rows);
        let some = |values: &Vec<f64>| -> Vec<f64> { rows.iter().map(|&i| values[i]).collect() };
        let data = Data {
            y: some(&old.y),
            trials: old.trials.as_ref().map(some),
            weights: old.weights.as_ref().map(some),
            family: old.family.clone(),
            design: Arc::new(subset.design),
        };
        let mut laplace = Laplace::new(Arc::new(data), method);
        laplace.set_start_mode(self.mode_of(&subset.levels));
        let mut gradient = vec![0.0; dim];
        let value = laplace.value_gradient(x, &mut gradient);
        if !value.is_finite() {
            return None;
        }
        laplace.accept();
        let mut hessian = Vec::new();
        if information {
            hessian = gradient_differences(&mut laplace, x, &self.steps(layout))?;
            for j in 0..dim {
                let own = self.in_user_units(layout, &hessian[j * dim..(j + 1) * dim]);
                hessian[j * dim..(j + 1) * dim].copy_from_slice(&own);
            }
            for i in 0..dim {
                let row: Vec<f64> = (0..dim).map(|j| hessian[j * dim + i]).collect();
                for (j, value) in self.in_user_units(layout, &row).into_iter().enumerate() {
                    hessian[j * dim + i] = value;
                }
            }
        }
        let gradient = self.in_user_units(layout, &gradient).into_iter().map(|g| -g).collect();
        Some(Contribution { loglik: -value, gradient, information: hessian })
    }

    /// u of the levels that are left, where the search for their modes starts; none are known of a profiled likelihood.
    fn mode_of(&self, levels: &[Vec<usize>]) -> Vec<f64> {
        let design = &self.data.design;
        let mut mode = Vec::new();
        let mut first = 0;
        for ((grouping, &rank), left) in design.groupings.iter().zip(design.template.ranks()).zip(levels) {
            for level in left {
                for column in 0..rank {
                    mode.push(self.mode().get(first + level * rank + column).copied().unwrap_or(0.0));
                }
            }
            first += grouping.levels * rank;
        }
        mode
    }

    /// About a standard error of each parameter, which sets the steps of differences.
    fn steps(&self, layout: &Layout) -> Vec<f64> {
        let (dim, known) = (layout.dim, self.parameter_covariance());
        (0..dim)
            .map(|m| if known.len() == dim * dim { known[m * dim + m].sqrt() } else { 1.0 })
            .map(|step| if step.is_finite() && step > 0.0 { step } else { 1.0 })
            .collect()
    }

    /// A gradient in the user's units from one in the coordinates of the likelihood.
    fn in_user_units(&self, layout: &Layout, gradient: &[f64]) -> Vec<f64> {
        let design = &self.data.design;
        let mut out = gradient.to_vec();
        for (fixed, range) in design.fixed.iter().zip(&layout.beta) {
            let range = range.clone().expect("all fixed effects are outer parameters");
            out[range.clone()].copy_from_slice(&fixed.gradient_to_original(&gradient[range]));
        }
        for term in 0..design.places.len() {
            for (m, at) in design.template.theta_range(term).enumerate() {
                out[layout.theta.start + at] *= design.theta_scale(term, m);
            }
        }
        out
    }
}
