//! A model of the criterion's Hessian in theta: average information plus boundary term.
//!
//! The average of observed and expected information needs only one solve with as many columns as theta (Gilmour,
//! Thompson & Cullis 1995). With P = Omega^{-1} projected off X (unit scale), e the residual and
//!
//! ```text
//! t_m = dLambda_m u + Lambda dLambda_m' Z'W e ,     d V / d theta_m  P y  proportional to  Z t_m ,
//! AI_jk = (1 / sigma^2) { t_j' [Z'PZ] t_k - (t_j' Z'We)(t_k' Z'We) / r2 } ,
//! ```
//!
//! the last term from profiling sigma out (exact: relative to sigma, V is proportional to sigma^2). The second
//! derivative of V adds  tr(dLambda_j' N dLambda_k) + <G, d2Lambda_jk>  within a term, with N = 2 d criterion / d Sigma and
//! G = d criterion / d Lambda = N Lambda. At a zero variance N is all the
//! curvature there is.
//!
//! Reference: Gilmour, Thompson & Cullis (1995), Biometrics 51, 1440-1450.
use super::Profiled;
use crate::linalg::{BlockMatrix, PARALLEL_WORK, dot};
use rayon::prelude::*;

/// Of one theta: its right-hand side and its working vector, and the product of that with Z'Z.
type Columns<'a> = ((&'a mut [f64], &'a mut [f64]), &'a mut [f64]);

/// The quadratic forms of the working vectors.
pub(super) struct Information {
    /// t_j' Z'PZ t_k / sigma^2.
    pub gram: Vec<f64>,
    /// t_j' Z'W e, which is minus d r2 / d theta_j.
    pub along: Vec<f64>,
}

impl Profiled {
    /// AI + N at theta, n_theta x n_theta column-major, for the criterion with sigma profiled out (the scale of
    /// -2 log likelihood, so twice the information). Symmetric; not always positive definite. NaN where the criterion
    /// is infinite.
    pub fn metric(&mut self, theta: &[f64]) -> Vec<f64> {
        let n_theta = theta.len();
        if !self.evaluate(theta) {
            return vec![f64::NAN; n_theta * n_theta];
        }
        let variance = self.profiled_variance();
        let Information { mut gram, along } = self.information(theta, variance);
        let r2 = self.r2();
        for k in 0..n_theta {
            for j in 0..n_theta {
                gram[k * n_theta + j] -= along[j] * along[k] / (r2 * variance);
            }
        }
        self.add_boundary_term(theta, variance, &mut gram);
        gram
    }

    /// Adds tr(dLambda_j' N dLambda_k) + <G, d2Lambda_jk> for the theta of each term.
    pub(super) fn add_boundary_term(&mut self, theta: &[f64], variance: f64, metric: &mut [f64]) {
        let n_theta = theta.len();
        let slopes = self.variance_slopes(theta, variance);
        let template = &self.design.template;
        let linear = (0..template.n_terms()).all(|term| template.covariance(term).is_linear());
        let gradient = if linear { Vec::new() } else { self.factor_gradient(variance) };
        let template = &self.design.template;
        for (term, slope) in slopes.iter().enumerate() {
            let (covariance, range) = (template.covariance(term), template.theta_range(term));
            let (own, k) = (&theta[range.clone()], range.len());
            let mut block = vec![0.0; k * k];
            covariance.add_quadratic(own, &slope.slope, &mut block);
            if !covariance.is_linear() {
                let g = template.term_block(term, &gradient[template.factor_of(term)]);
                covariance.add_curvature(own, &g, &mut block);
            }
            for j in 0..k {
                for i in 0..k {
                    metric[(range.start + j) * n_theta + range.start + i] += block[j * k + i];
                }
            }
        }
    }

    /// The working vectors' Gram matrix and their products with the residual, at theta, the point of the last
    /// evaluation.
    pub(super) fn information(&self, theta: &[f64], variance: f64) -> Information {
        let (n_theta, q, p) = (theta.len(), self.factorization.n_random(), self.p());
        let (b, pattern, factors) = (&self.design.b, &self.design.pattern, &self.state().factors);
        let residual = self.residual_products();
        let (size, columns) = (residual.len() + p, (q + p).max(1));
        let (mut rhs, mut working) = (vec![0.0; columns * n_theta], vec![0.0; size.max(1) * n_theta]);
        let mut products = working.clone();
        let direction = |(m, ((rhs, t), product)): (usize, Columns<'_>)| {
            self.working_vector_into(theta, m, residual, t);
            b.multiply(pattern, t, product);
            self.times_transposed_into(factors, product, rhs);
            rhs[q..].copy_from_slice(&product[product.len() - p..]);
        };
        if n_theta * b.n_values() < PARALLEL_WORK {
            let t = working.chunks_exact_mut(size.max(1));
            let parts = rhs.chunks_exact_mut(columns).zip(t).zip(products.chunks_exact_mut(size.max(1)));
            parts.enumerate().for_each(direction);
        } else {
            let t = working.par_chunks_exact_mut(size);
            rhs.par_chunks_exact_mut(columns)
                .zip(t)
                .zip(products.par_chunks_exact_mut(size))
                .enumerate()
                .for_each(direction);
        }
        let mut solved = rhs.clone();
        self.factorization.solve_in_place(&mut solved, n_theta);
        let along: Vec<f64> = working.chunks_exact(size.max(1)).map(|t| inner(t, residual)).collect();
        let mut information = vec![0.0; n_theta * n_theta];
        let (long, short) = (|m: usize| m * size..(m + 1) * size, |m: usize| m * (q + p)..(m + 1) * (q + p));
        for k in 0..n_theta {
            for j in 0..=k {
                let gram = inner(&working[long(j)], &products[long(k)]) - inner(&rhs[short(j)], &solved[short(k)]);
                let value = gram / variance;
                information[k * n_theta + j] = value;
                information[j * n_theta + k] = value;
            }
        }
        Information { gram: information, along }
    }

    /// Writes t_m = dLambda_m u + Lambda dLambda_m' Z'We, laid out as the random effects b, to `t`, which is zero: only
    /// the effects of the grouping factor that theta_m belongs to move.
    fn working_vector_into(&self, theta: &[f64], m: usize, residual: &[f64], t: &mut [f64]) {
        let (state, pattern, ranks) = (self.state(), &self.design.pattern, self.factorization.ranks());
        let (f, derivative) = self.design.template.derivative(theta, m);
        let (p, r) = (self.design.b.widths[f], ranks[f]);
        let (from, to) = (pattern.offsets(ranks)[f], pattern.offsets(&self.design.b.widths)[f]);
        let levels = to..to + pattern.levels(f) * p;
        let u = state.modes[from..].chunks_exact(r);
        for ((t, residual), u) in t[levels.clone()].chunks_exact_mut(p).zip(residual[levels].chunks_exact(p)).zip(u) {
            for c in 0..r {
                let (moved, factor) = (&derivative[c * p..(c + 1) * p], &state.factors[f][c * p..(c + 1) * p]);
                let back = dot(moved, residual);
                for a in 0..p {
                    t[a] += moved[a] * u[c] + factor[a] * back;
                }
            }
        }
    }

    /// dLambda_f / dtheta_m for every grouping factor: zero for all but one.
    pub(super) fn derivative_factors(&self, theta: &[f64], m: usize) -> Vec<Vec<f64>> {
        let mut derivative: Vec<Vec<f64>> = self.state().factors.iter().map(|factor| vec![0.0; factor.len()]).collect();
        let (f, block) = self.design.template.derivative(theta, m);
        derivative[f] = block;
        derivative
    }

    /// The cached cross-products times a vector over (b, beta~).
    pub(super) fn times_cross_products(&self, x: &[f64]) -> Vec<f64> {
        let b: &BlockMatrix = &self.design.b;
        let mut product = vec![0.0; x.len()];
        b.multiply(&self.design.pattern, x, &mut product);
        product
    }
}

/// Inner product over the length of the shorter vector.
pub(super) fn inner(a: &[f64], b: &[f64]) -> f64 {
    let length = a.len().min(b.len());
    dot(&a[..length], &b[..length])
}
