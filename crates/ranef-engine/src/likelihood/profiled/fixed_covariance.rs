//! The covariance of the fixed effects at theta and its derivatives, from the cached cross-products.
use super::Profiled;
use crate::likelihood::fixed_covariance::{EffectProducts, FixedCovariance, congruent};
use crate::linalg::dense_cholesky::inverse;

impl Profiled {
    /// (X' Omega^-1 X)^-1 and its derivatives with respect to theta, for the caller's X, at the theta evaluated last. `None`
    /// where no theta has been.
    pub fn fixed_covariance(&self) -> Option<FixedCovariance> {
        let state = self.state.as_ref()?;
        let theta = state.theta.as_ref()?;
        let (f, u) = self.fixed_products();
        let (p, pattern) = (self.p(), &self.design.pattern);
        let levels: Vec<usize> = (0..pattern.n_factors()).map(|f| pattern.levels(f)).collect();
        let mut products = EffectProducts::new(&self.design.template, &levels, &f, &u, p);
        let unscaled = inverse(self.factorization.border_factor(), p);
        // Phi = R^-1 S^-1 R^-T with X = Q R.
        let to_caller = |s: &[f64]| congruent(&self.design.inverse_r, s, p);
        let slopes = (0..theta.len()).map(|m| to_caller(&congruent(&unscaled, &products.along(theta, m), p))).collect();
        Some(FixedCovariance { value: to_caller(&unscaled), slopes })
    }

    /// F = Z'Omega^-1 Q and U = M_uu^-1 Lambda'Z'W^{1/2}Q at the theta evaluated last, p columns each.
    pub(super) fn fixed_products(&self) -> (Vec<f64>, Vec<f64>) {
        let (p, q, factors) = (self.p(), self.factorization.n_random(), &self.state().factors);
        let size = self.response.zy.len();
        let mut u = vec![0.0; q * p];
        for (j, u) in u.chunks_exact_mut(q.max(1)).enumerate() {
            let mut unit = vec![0.0; size + p];
            unit[size + j] = 1.0;
            self.times_transposed_into(factors, &self.times_cross_products(&unit), u);
        }
        self.factorization.solve_random_in_place(&mut u, p);
        let mut f = Vec::with_capacity(size * p);
        for j in 0..p {
            let mut left = self.times_factors(factors, &u[j * q..(j + 1) * q]);
            left.iter_mut().for_each(|value| *value = -*value);
            left.resize(size + p, 0.0);
            left[size + j] = 1.0;
            let mut product = self.times_cross_products(&left);
            product.truncate(size);
            f.append(&mut product);
        }
        (f, u)
    }
}
