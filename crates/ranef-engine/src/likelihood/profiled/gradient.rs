//! The gradient with respect to the factors, and the products with Lambda it shares with other quantities.
use super::Profiled;
use super::data::Design;
use crate::linalg::product_diagonal;

impl Profiled {
    /// d criterion / d Lambda_f at a given sigma^2.
    pub(super) fn factor_gradient(&mut self, variance: f64) -> Vec<Vec<f64>> {
        let mut slope = self.determinant_gradient();
        for (slope, penalty) in slope.iter_mut().zip(self.penalty_gradient()) {
            slope.iter_mut().zip(penalty).for_each(|(slope, penalty)| *slope += penalty / variance);
        }
        slope
    }

    /// d (log|M_uu| + [REML] log|S|) / d Lambda_f. Kept with the state: it is what a gradient costs.
    fn determinant_gradient(&mut self) -> Vec<Vec<f64>> {
        if let Some(gradient) = &self.state().determinant_gradient {
            return gradient.clone();
        }
        if self.reml {
            self.factorization.selected_inverse_into(&mut self.inverse);
        } else if self.random.is_none() {
            self.factorization.selected_inverse_random_into(&mut self.inverse);
        }
        let Design { pattern, b, free, .. } = &*self.design;
        let factors = &self.state.as_ref().expect("evaluated before").factors;
        let mut gradient = match (&mut self.random, free) {
            (Some(random), Some(free)) if !self.reml => {
                random.factorization.selected_inverse_into(&mut random.inverse);
                let own = &factors[..factors.len() - 1];
                product_diagonal(&free.pattern, &free.random, own, &random.inverse, false)
            }
            _ => product_diagonal(pattern, b, factors, &self.inverse, self.reml),
        };
        gradient.iter_mut().flatten().for_each(|slope| *slope *= 2.0);
        if let Some(state) = &mut self.state {
            state.determinant_gradient = Some(gradient.clone());
        }
        gradient
    }

    /// d r2 / d Lambda_f = -2 sum over levels of (Z'We)_l u_l'.
    pub(super) fn penalty_gradient(&self) -> &[Vec<f64>] {
        self.state().penalty_gradient.get_or_init(|| {
            let Design { pattern, b, .. } = &*self.design;
            let (state, residual, ranks) = (self.state(), self.residual_products(), self.factorization.ranks());
            let (from, to) = (pattern.offsets(ranks), pattern.offsets(&b.widths));
            (0..ranks.len())
                .map(|f| {
                    let (p, r) = (b.widths[f], ranks[f]);
                    let mut product = vec![0.0; p * r];
                    let u = state.modes[from[f]..from[f + 1]].chunks_exact(r.max(1));
                    for (u, residual) in u.zip(residual[to[f]..to[f + 1]].chunks_exact(p.max(1))) {
                        for (product, u) in product.chunks_exact_mut(p.max(1)).zip(u) {
                            product.iter_mut().zip(residual).for_each(|(to, residual)| *to -= 2.0 * residual * u);
                        }
                    }
                    product
                })
                .collect()
        })
    }

    /// Z'W e at the modes, from cached products; its fixed part X'W e is zero and left out.
    pub(super) fn residual_products(&self) -> &[f64] {
        self.state().residual.get_or_init(|| {
            let (design, state) = (&*self.design, self.state());
            let q = self.response.zy.len();
            let mut effects = self.times_factors(&state.factors, &state.modes);
            effects.extend_from_slice(&state.modes[self.factorization.n_random()..]);
            let mut fitted = vec![0.0; q + design.pattern.border()];
            design.b.multiply(&design.pattern, &effects, &mut fitted);
            self.response.zy.iter().zip(fitted).map(|(zy, fitted)| zy - fitted).collect()
        })
    }

    /// Lambda u.
    pub(super) fn times_factors(&self, factors: &[Vec<f64>], u: &[f64]) -> Vec<f64> {
        let Design { pattern, b, .. } = &*self.design;
        let (ranks, from) = (self.factorization.ranks(), pattern.offsets(self.factorization.ranks()));
        let mut out = vec![0.0; self.response.zy.len()];
        let to = pattern.offsets(&b.widths);
        for f in 0..factors.len() {
            let (p, r) = (b.widths[f], ranks[f]);
            for level in 0..pattern.levels(f) {
                for c in 0..r {
                    let scale = u[from[f] + level * r + c];
                    for a in 0..p {
                        out[to[f] + level * p + a] += factors[f][c * p + a] * scale;
                    }
                }
            }
        }
        out
    }

    /// Writes Lambda' z to the random part of `out`.
    pub(super) fn times_transposed_into(&self, factors: &[Vec<f64>], z: &[f64], out: &mut [f64]) {
        let Design { pattern, b, .. } = &*self.design;
        let (ranks, to) = (self.factorization.ranks(), pattern.offsets(self.factorization.ranks()));
        let from = pattern.offsets(&b.widths);
        for f in 0..factors.len() {
            let (p, r) = (b.widths[f], ranks[f]);
            for level in 0..pattern.levels(f) {
                let z = &z[from[f] + level * p..][..p];
                for c in 0..r {
                    let column = &factors[f][c * p..(c + 1) * p];
                    out[to[f] + level * r + c] = column.iter().zip(z).map(|(l, z)| l * z).sum();
                }
            }
        }
    }
}
