//! The joint distribution of effects and parameters where the likelihood is the exact marginal one.
//!
//! As in [`super::Posterior`], but from the covariance matrices of the outermost groups: given the parameters
//!
//! ```text
//! Var(z'(b^ - b) + x'(beta^ - beta)) = sigma^2 { sum_g z_g' K_g z_g + w' M^-1 w } ,   w = x - sum_g T_g' z_g
//! ```
//!
//! (`likelihood::marginal::BlockEffects`), and J, the derivative of (b^, beta^) by the parameters, from differences of
//! their closed form.
use super::Combination;
use crate::design::Design;
use crate::likelihood::marginal::{BlockEffects, Solution};
use std::sync::Arc;

/// Effects and parameters, jointly.
pub struct MarginalPosterior {
    design: Arc<Design>,
    /// sigma^2.
    variance: f64,
    unscaled: Vec<f64>,
    effects: Vec<BlockEffects>,
    /// For each grouping factor and level, its outermost group and the place of its first effect there.
    place: Vec<Vec<Option<(usize, usize)>>>,
    /// d (b, beta~) / d psi, column-major.
    jacobian: Vec<f64>,
    /// V, dim x dim column-major.
    psi: Vec<f64>,
    /// Where the coefficients of the dispersion stand in psi.
    dispersion: std::ops::Range<usize>,
}

impl MarginalPosterior {
    /// From the closed form at the optimum, its derivatives by the parameters, and the parameters' covariance.
    pub fn new(
        design: Arc<Design>,
        solution: &Solution,
        effects: Vec<BlockEffects>,
        jacobian: Vec<f64>,
        psi: Vec<f64>,
        dispersion: std::ops::Range<usize>,
    ) -> Self {
        let mut place: Vec<Vec<Option<(usize, usize)>>> =
            design.groupings.iter().map(|grouping| vec![None; grouping.levels]).collect();
        for (g, block) in effects.iter().enumerate() {
            let mut first = 0;
            for &(f, level) in &block.levels {
                place[f][level] = Some((g, first));
                first += design.groupings[f].width();
            }
        }
        let variance = solution.sigma * solution.sigma;
        Self { design, variance, unscaled: solution.unscaled.clone(), effects, place, jacobian, psi, dispersion }
    }

    fn dim(&self) -> usize {
        self.psi.len().isqrt()
    }

    fn p(&self) -> usize {
        self.unscaled.len().isqrt()
    }

    /// Variance of a combination; given psi if `conditional`, otherwise with the uncertainty of psi.
    pub fn variance(&self, combination: &Combination, conditional: bool) -> f64 {
        let p = self.p();
        let mut w = combination.fixed.first().cloned().unwrap_or_default();
        w.resize(p, 0.0);
        let mut given = 0.0;
        let mut by_block: Vec<(usize, usize, f64)> = Vec::with_capacity(combination.effects.len());
        for &(f, level, column, value) in &combination.effects {
            // A level without rows has b = 0 and its whole variance; rows of the fit have none.
            if let Some((g, first)) = self.place[f][level] {
                by_block.push((g, first + column, value));
            }
        }
        for &(g, i, zi) in &by_block {
            let block = &self.effects[g];
            let q = block.given.len().isqrt();
            for &(other, j, zj) in &by_block {
                if other == g {
                    given += zi * zj * block.given[j * q + i];
                }
            }
            (0..p).for_each(|j| w[j] -= block.through[j * q + i] * zi);
        }
        given += quadratic(&w, &self.unscaled);
        given *= self.variance;
        if conditional {
            return given;
        }
        let mut through = vec![0.0; self.dim()];
        if let Some(x) = combination.fixed.get(1) {
            through[self.dispersion.clone()].iter_mut().zip(x).for_each(|(target, x)| *target += x);
        }
        for &(f, level, column, value) in &combination.effects {
            self.add_row(self.design.b_index(f, level, column), value, &mut through);
        }
        if let Some(x) = combination.fixed.first() {
            x.iter().enumerate().for_each(|(j, x)| self.add_row(self.design.q + j, *x, &mut through));
        }
        given + quadratic(&through, &self.psi)
    }

    fn add_row(&self, index: usize, value: f64, through: &mut [f64]) {
        let size = self.design.q + self.p();
        through.iter_mut().enumerate().for_each(|(m, target)| *target += value * self.jacobian[m * size + index]);
    }

    /// Standard deviation of b_hat - b at an index of the vector of all b, with the uncertainty of psi.
    pub fn effect_sd(&self, grouping: usize, level: usize, column: usize) -> f64 {
        let fixed = vec![vec![0.0; self.p()]];
        let combination = Combination { effects: vec![(grouping, level, column, 1.0)], fixed };
        self.variance(&combination, false).max(0.0).sqrt()
    }

    /// Covariance of the effects of each level of a grouping factor given all parameters, beta too.
    pub fn conditional_blocks(&self, grouping: usize) -> Vec<f64> {
        let width = self.design.groupings[grouping].width();
        let mut out = vec![f64::NAN; self.place[grouping].len() * width * width];
        for (level, place) in self.place[grouping].iter().enumerate() {
            let Some((g, first)) = *place else { continue };
            let q = self.effects[g].given.len().isqrt();
            for j in 0..width {
                for i in 0..width {
                    out[level * width * width + j * width + i] =
                        self.variance * self.effects[g].given[(first + j) * q + first + i];
                }
            }
        }
        out
    }
}

fn quadratic(a: &[f64], matrix: &[f64]) -> f64 {
    let n = a.len();
    (0..n).map(|j| a[j] * crate::linalg::dot(a, &matrix[j * n..(j + 1) * n])).sum()
}
