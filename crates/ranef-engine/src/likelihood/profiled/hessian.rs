//! The Hessian of the criterion: in theta with sigma profiled out, and in (theta, sigma).
//!
//! With A_j = dLambda_j Lambda' + Lambda dLambda_j', C = Z'PZ (P relative to sigma), t_j = A_j Z'We and Lambda linear in
//! theta,
//!
//! ```text
//! H_jk = - tr(C A_j C A_k) + (2 / sigma^2) t_j' C t_k + N ,       profiled:  - (t_j'Z'We)(t_k'Z'We) / (sigma^2 r2) ,
//! ```
//!
//! where N is the boundary term of the metric. (ML: in the trace alone C is Z'Omega^{-1}Z.) The trace runs over every
//! pair of levels, also those that never meet in a row; since Lambda' C Lambda = I - M^{-1} it needs second moments of
//! the blocks of the inverse only. Where Lambda is singular its negligible singular values are lifted for C alone,
//! which is even in Lambda: an error of second order.
//!
//! Reference: Lindstrom & Bates (1988), J. Amer. Statist. Assoc. 83, 1014-1022; Gilmour, Thompson & Cullis (1995),
//! Biometrics 51, 1440-1450.
use super::Profiled;
use super::metric::Information;
use crate::linalg::Moments;
use faer::linalg::solvers::DenseSolveCore;
use faer::{Mat, MatRef};

/// The moments of the inverse grow with the fourth power of the columns of a level, an evaluation with the third; of few
/// parameters of many columns (an autoregression over 40 occasions has two) differences are cheaper.
const WIDEST_PER_PARAMETER: usize = 8;

impl Profiled {
    /// The Hessian in theta of the criterion with sigma profiled out, n_theta x n_theta column-major.
    ///
    /// `None` where it is not known in closed form or out of reach: the criterion is infinite, Lambda is not square, or
    /// the Schur complement is sparse; fixed effects are free effects of levels; or dearer than differences.
    pub fn hessian(&mut self, theta: &[f64]) -> Option<Vec<f64>> {
        if !self.evaluate(theta) {
            return None;
        }
        let (n_theta, variance, r2) = (theta.len(), self.profiled_variance(), self.r2());
        let (mut hessian, along) = self.hessian_at(theta, variance)?;
        for k in 0..n_theta {
            for j in 0..n_theta {
                hessian[k * n_theta + j] -= along[j] * along[k] / (variance * r2);
            }
        }
        Some(hessian)
    }

    /// The Hessian of the criterion with sigma a parameter of its own: coordinates theta, then sigma; column-major.
    ///
    /// The row of sigma is
    ///
    /// ```text
    /// d2 / d theta d sigma = -(2 / sigma^3) d r2 / d theta ,   d2 / d sigma^2 = -2 m / sigma^2 + 6 r2 / sigma^4 .
    /// ```
    ///
    /// Where the block of theta has no closed form it is a central difference of the exact gradient with steps of a
    /// thousandth of a standard error, which leaves a relative error near 1e-7.
    pub fn hessian_sigma(&mut self, theta: &[f64], sigma: f64) -> Vec<f64> {
        let (n_theta, size) = (theta.len(), theta.len() + 1);
        let mut hessian = vec![f64::NAN; size * size];
        if !self.evaluate(theta) {
            return hessian;
        }
        let (m, r2) = (self.degrees_of_freedom(), self.r2());
        for (j, slope) in self.r2_slope(theta).into_iter().enumerate() {
            let value = -2.0 / sigma.powi(3) * slope;
            hessian[n_theta * size + j] = value;
            hessian[j * size + n_theta] = value;
        }
        hessian[n_theta * size + n_theta] = -2.0 * m / sigma.powi(2) + 6.0 * r2 / sigma.powi(4);
        let block = match self.hessian_at(theta, sigma * sigma) {
            Some((block, _)) => block,
            None => self.differences_at(theta, sigma),
        };
        for j in 0..n_theta {
            hessian[j * size..j * size + n_theta].copy_from_slice(&block[j * n_theta..(j + 1) * n_theta]);
        }
        hessian
    }

    /// d sigma / d theta for the sigma that is best at theta; NaN where the criterion is infinite.
    pub fn sigma_slope(&mut self, theta: &[f64]) -> Vec<f64> {
        if !self.evaluate(theta) {
            return vec![f64::NAN; theta.len()];
        }
        let scale = 0.5 / (self.degrees_of_freedom() * self.profiled_variance().sqrt());
        self.r2_slope(theta).into_iter().map(|slope| scale * slope).collect()
    }

    /// d log sigma / d theta of the same at the theta evaluated last; `None` where no theta has been.
    pub fn log_sigma_slope(&self) -> Option<Vec<f64>> {
        let theta = self.state.as_ref()?.theta.as_ref()?;
        let scale = 0.5 / self.r2();
        Some(self.r2_slope(theta).into_iter().map(|slope| scale * slope).collect())
    }

    fn r2_slope(&self, theta: &[f64]) -> Vec<f64> {
        let mut slope = vec![0.0; theta.len()];
        self.design.template.chain(theta, self.penalty_gradient(), &mut slope);
        slope
    }

    /// The block of theta at a given sigma^2 in closed form, and t_j' Z'We.
    fn hessian_at(&mut self, theta: &[f64], variance: f64) -> Option<(Vec<f64>, Vec<f64>)> {
        let n_theta = theta.len();
        let template = &self.design.template;
        if self.design.free.is_some() {
            return None;
        }
        let widest = template.ranks().iter().max().copied().unwrap_or(0);
        if template.widths() != template.ranks() || widest > WIDEST_PER_PARAMETER * n_theta {
            return None;
        }
        let moves: Vec<(usize, Mat<f64>)> = (0..n_theta).map(|m| self.covariance_derivative(theta, m)).collect();
        let traces = self.with_full_rank(theta, |profiled| {
            // The gradient leaves the selected inverse behind.
            profiled.factor_gradient(variance);
            let moments = profiled.factorization.inverse_moments(&profiled.inverse, profiled.reml)?;
            Some(profiled.traces(&moves, &moments))
        })??;
        let Information { gram, along } = self.information(theta, variance);
        let mut hessian: Vec<f64> = gram.iter().zip(traces).map(|(gram, trace)| 2.0 * gram - trace).collect();
        self.add_boundary_term(theta, variance, &mut hessian);
        Some((hessian, along))
    }

    /// The grouping factor that theta_m belongs to, and A_m.
    fn covariance_derivative(&self, theta: &[f64], m: usize) -> (usize, Mat<f64>) {
        let (f, derivative) = self.design.template.derivative(theta, m);
        let (p, r) = (self.design.b.widths[f], self.factorization.ranks()[f]);
        let derivative = MatRef::from_column_major_slice(&derivative, p, r);
        let half = derivative * MatRef::from_column_major_slice(&self.state().factors[f], p, r).transpose();
        (f, &half + half.transpose())
    }

    /// tr(C A_j C A_k) = tr(X E_j X E_k) with X = Lambda' C Lambda and E_j = Lambda^{-1} A_j Lambda^{-T}.
    pub(super) fn traces(&self, moves: &[(usize, Mat<f64>)], moments: &[Moments]) -> Vec<f64> {
        let inverses: Vec<Mat<f64>> = (self.state().factors.iter().zip(self.factorization.ranks()))
            .map(|(factor, &r)| MatRef::from_column_major_slice(factor, r, r).partial_piv_lu().inverse())
            .collect();
        let scaled: Vec<Mat<f64>> = moves.iter().map(|(f, a)| &inverses[*f] * a * inverses[*f].transpose()).collect();
        let n_theta = moves.len();
        let mut traces = vec![0.0; n_theta * n_theta];
        for Moments { first, second, values } in moments {
            let (r, s) = (self.factorization.ranks()[*first], self.factorization.ranks()[*second]);
            for j in (0..n_theta).filter(|&j| moves[j].0 == *first) {
                // sum_ac E_j[a, c] moments[(a, b), (c, d)], for each (b, d).
                let mut half = vec![0.0; s * s];
                for d in 0..s {
                    for c in 0..r {
                        for b in 0..s {
                            for a in 0..r {
                                half[d * s + b] += scaled[j][(a, c)] * values[(d * r + c) * r * s + b * r + a];
                            }
                        }
                    }
                }
                for k in (0..n_theta).filter(|&k| moves[k].0 == *second) {
                    let value = (0..s * s).map(|at| half[at] * scaled[k][(at % s, at / s)]).sum();
                    traces[k * n_theta + j] = value;
                    traces[j * n_theta + k] = value;
                }
            }
        }
        traces
    }

    fn differences_at(&mut self, theta: &[f64], sigma: f64) -> Vec<f64> {
        let n_theta = theta.len();
        let metric = self.metric(theta);
        let mut columns = Vec::with_capacity(n_theta);
        for j in 0..n_theta {
            let curvature = metric[j * n_theta + j];
            let step = if curvature > 0.0 { 1e-3 * (2.0 / curvature).sqrt() } else { 1e-4 * theta[j].abs().max(1e-2) };
            let mut gradient = |step: f64| {
                let mut moved = theta.to_vec();
                moved[j] += step;
                let mut gradient = vec![0.0; n_theta + 1];
                self.value_gradient_sigma(&moved, sigma, &mut gradient);
                // The step that was really taken, after rounding.
                (gradient, moved[j])
            };
            let ((above, high), (below, low)) = (gradient(step), gradient(-step));
            columns.push((0..n_theta).map(|i| (above[i] - below[i]) / (high - low)).collect::<Vec<f64>>());
        }
        self.evaluate(theta);
        (0..n_theta * n_theta)
            .map(|at| 0.5 * (columns[at / n_theta][at % n_theta] + columns[at % n_theta][at / n_theta]))
            .collect()
    }
}
