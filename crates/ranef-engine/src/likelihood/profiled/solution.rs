//! What the model says at a given theta: coefficients, effects, their covariance, and how they move with theta.
use super::Profiled;
use super::data::Free;
use rayon::prelude::*;

/// The closed-form part of a fit at one theta, on the caller's scale.
#[derive(Clone, Debug)]
pub struct Solution {
    /// Fixed-effects coefficients of the caller's X.
    pub beta: Vec<f64>,
    /// (X' Omega^{-1} X)^{-1}, p x p: times sigma^2 the covariance of beta given theta. Empty where there are fixed
    /// effects by level; [`Profiled::unscaled_covariance`] makes it when it is asked for.
    pub vcov_beta_unscaled: Vec<f64>,
    /// Standardised effects of each grouping factor, level after level (r_f values each).
    pub u: Vec<Vec<f64>>,
    /// Effects b = Lambda u of each grouping factor, level after level (p_f values each).
    pub b: Vec<Vec<f64>>,
    /// sqrt(r2 / n) for ML, sqrt(r2 / (n - p)) for REML.
    pub sigma: f64,
    /// Penalised weighted residual sum of squares, residual + penalty.
    pub r2: f64,
    /// |W^{1/2}(y - X beta - Z b)|^2.
    pub residual: f64,
    /// |u|^2.
    pub penalty: f64,
    /// log of the determinant of Lambda' Z'WZ Lambda + I.
    pub log_det: f64,
    /// log of the determinant of X' Omega^{-1} X.
    pub log_det_fixed: f64,
    /// The criterion with sigma profiled out.
    pub criterion: f64,
}

/// How the modes move with theta: derivatives of (u, beta~), beta~ on the orthonormal basis of X.
#[derive(Clone, Debug)]
pub struct ModeJacobian {
    /// (q + p) x n_theta, column-major; u in the layout of the factorisation, beta~ last.
    pub columns: Vec<f64>,
    /// R^{-1}, p x p column-major upper: d beta = R^{-1} d beta~.
    pub to_beta: Vec<f64>,
}

impl Profiled {
    /// Coefficients, effects and sums of squares at theta; None where the criterion is infinite.
    pub fn solution(&mut self, theta: &[f64]) -> Option<Solution> {
        if !self.evaluate(theta) {
            return None;
        }
        if self.reml && !self.factor_random() {
            return None;
        }
        let (design, state, q) = (&*self.design, self.state(), self.factorization.n_random());
        let (beta, effects) = match &design.free {
            Some(free) => {
                let first = self.first_free();
                let moved = free.unit(&state.modes[first..], design.n);
                let total: Vec<f64> = self.response.coefficients.iter().zip(moved).map(|(c, beta)| c + beta).collect();
                (if free.weighted { free.basis.to_raw(&total) } else { total }, first)
            }
            None => {
                let coefficients = self.response.coefficients.iter();
                let rotated: Vec<f64> = coefficients.zip(&state.modes[q..]).map(|(c, beta)| c + beta).collect();
                (self.times_inverse_r(&rotated), q)
            }
        };
        // Free effects are at the end.
        let u = &state.modes[..effects];
        let penalty: f64 = u.iter().map(|u| u * u).sum();
        let ranks = self.factorization.ranks();
        let n_random = ranks.len() - usize::from(design.free.is_some());
        let b = self.times_factors(&state.factors, &state.modes[..q]);
        let log_det = self.random.as_ref().map_or(&self.factorization, |random| &random.factorization).log_det();
        let all = self.factorization.log_det() + self.factorization.log_det_border();
        Some(Solution {
            beta,
            vcov_beta_unscaled: if design.free.is_some() { Vec::new() } else { self.covariance_of_beta() },
            u: split(u, &design.pattern.offsets(ranks)[..=n_random]),
            b: split(&b, &design.pattern.offsets(&design.b.widths)[..=n_random]),
            sigma: self.profiled_variance().sqrt(),
            r2: state.r2,
            residual: state.r2 - penalty,
            penalty,
            log_det,
            log_det_fixed: all - log_det + 2.0 * design.log_det_r,
            criterion: self.criterion(),
        })
    }

    /// Derivatives of the modes with respect to theta, without any pass over the rows:
    ///
    /// ```text
    /// M^{-1} [ dLambda' Z'We - Lambda' Z'WZ dLambda u ;  - Q'W^{1/2}Z dLambda u ] .
    /// ```
    ///
    /// None where the criterion is infinite, or fixed effects are by level.
    pub fn mode_jacobian(&mut self, theta: &[f64]) -> Option<ModeJacobian> {
        if self.design.free.is_some() || !self.evaluate(theta) {
            return None;
        }
        let (state, q, p) = (self.state(), self.factorization.n_random(), self.p());
        let residual = self.residual_products();
        let mut columns = vec![0.0; (q + p) * theta.len()];
        for (m, column) in columns.chunks_exact_mut((q + p).max(1)).enumerate() {
            let derivative = self.derivative_factors(theta, m);
            let mut moved = self.times_factors(&derivative, &state.modes);
            moved.resize(moved.len() + p, 0.0);
            let product = self.times_cross_products(&moved);
            self.times_transposed_into(&derivative, residual, column);
            let mut back = vec![0.0; q];
            self.times_transposed_into(&state.factors, &product, &mut back);
            column.iter_mut().zip(back).for_each(|(column, back)| *column -= back);
            for (column, product) in column[q..].iter_mut().zip(&product[product.len() - p..]) {
                *column = -product;
            }
        }
        self.factorization.solve_in_place(&mut columns, theta.len());
        Some(ModeJacobian { columns, to_beta: self.design.inverse_r.clone() })
    }

    /// Where the free effects begin among the modes.
    fn first_free(&self) -> usize {
        let ranks = self.factorization.ranks();
        self.design.pattern.offsets(ranks)[ranks.len() - 1]
    }

    /// The covariance of beta, relative to sigma^2, at the point evaluated last.
    pub fn unscaled_covariance(&self) -> Vec<f64> {
        /// Columns solved for together.
        const COLUMNS: usize = 32;
        let Some(free) = &self.design.free else { return self.covariance_of_beta() };
        let (p, first, n) = (self.design.p, self.first_free(), self.design.n);
        let size = self.factorization.n_random() + self.p();
        let places = free.places();
        let root = |k: usize| if k < free.basis.n_levels() { 1.0 } else { 1.0 / (n as f64).sqrt() };
        let mut out = vec![0.0; p * p];
        out.par_chunks_mut((COLUMNS * p).max(1)).enumerate().for_each(|(chunk, out)| {
            let columns = out.len() / p;
            let mut rhs = vec![0.0; size * columns];
            for c in 0..columns {
                let k = chunk * COLUMNS + c;
                rhs[c * size + first + places[k]] = root(k);
            }
            self.factorization.solve_in_place(&mut rhs, columns);
            for (to, from) in out.chunks_exact_mut(p).zip(rhs.chunks_exact(size)) {
                let values: Vec<f64> = (0..p).map(|k| root(k) * from[first + places[k]]).collect();
                to.copy_from_slice(&if free.weighted { free.basis.to_raw(&values) } else { values });
            }
        });
        if free.weighted {
            // The other side: rows of what is symmetric again afterwards.
            for i in 0..p {
                let row: Vec<f64> = (0..p).map(|j| out[j * p + i]).collect();
                free.basis.to_raw(&row).into_iter().enumerate().for_each(|(j, value)| out[j * p + i] = value);
            }
        }
        out
    }

    /// R^{-1} x.
    fn times_inverse_r(&self, x: &[f64]) -> Vec<f64> {
        let p = self.p();
        (0..p).map(|i| (i..p).map(|j| self.design.inverse_r[j * p + i] * x[j]).sum()).collect()
    }

    /// R^{-1} S^{-1} R^{-T}, as K K' with K = R^{-1} L_S^{-T}.
    fn covariance_of_beta(&self) -> Vec<f64> {
        let (p, l) = (self.p(), self.factorization.border_factor());
        let mut k = vec![0.0; p * p];
        for c in 0..p {
            // Column c of L_S^{-T}.
            let mut x = vec![0.0; p];
            x[c] = 1.0;
            for j in (0..=c).rev() {
                let sum: f64 = (j + 1..=c).map(|i| l[j * p + i] * x[i]).sum();
                x[j] = (x[j] - sum) / l[j * p + j];
            }
            k[c * p..(c + 1) * p].copy_from_slice(&self.times_inverse_r(&x));
        }
        let mut out = vec![0.0; p * p];
        for j in 0..p {
            for i in 0..p {
                out[j * p + i] = (0..p).map(|c| k[c * p + i] * k[c * p + j]).sum();
            }
        }
        out
    }
}

impl Free {
    /// Where each coefficient of the basis is among the free effects and the border.
    fn places(&self) -> Vec<usize> {
        let (w, levels) = (self.basis.width(), self.basis.levels().count);
        let own = (0..levels * w).filter(|at| self.basis.coordinate(at / w, at % w).is_some());
        let border = (0..self.basis.p() - self.basis.n_levels()).map(|j| (levels + 1) * w + j);
        own.chain(border).collect()
    }

    /// Coefficients of columns of length sqrt(n) from free effects and a border of unit columns.
    fn unit(&self, modes: &[f64], n: usize) -> Vec<f64> {
        let mut values: Vec<f64> = self.places().into_iter().map(|place| modes[place]).collect();
        values[self.basis.n_levels()..].iter_mut().for_each(|value| *value /= (n as f64).sqrt());
        values
    }
}

fn split(values: &[f64], offsets: &[usize]) -> Vec<Vec<f64>> {
    offsets.windows(2).map(|ends| values[ends[0]..ends[1]].to_vec()).collect()
}
