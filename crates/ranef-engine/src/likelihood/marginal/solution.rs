//! What the model says at given parameters: coefficients, effects, their joint covariance, whitened residuals.
use super::Marginal;
use super::block::grouped;
use crate::linalg::dense_cholesky::{backward_in_place, factor_in_place, forward_in_place, inverse};
use crate::residual_correlation::Places;

/// The closed-form part of a fit.
#[derive(Clone, Debug)]
pub struct Solution {
    /// Coefficients beta~ of the mean's orthonormal columns.
    pub beta: Vec<f64>,
    /// (X' V^-1 X)^-1: times sigma^2 the covariance of beta~ given the parameters.
    pub unscaled: Vec<f64>,
    /// sqrt(r2 / m).
    pub sigma: f64,
    /// Effects b in the layout of the design.
    pub modes: Vec<f64>,
}

/// The effects of one outermost group, given the parameters: b^ - b has covariance
/// sigma^2 (K + T (X'V^-1 X)^-1 T'), and sigma^2 (-T (X'V^-1 X)^-1) with beta^ - beta.
#[derive(Clone, Debug)]
pub struct BlockEffects {
    /// (grouping factor, level) of each piece, in order.
    pub levels: Vec<(usize, usize)>,
    /// K = D - D Z'V^-1 Z D, q x q.
    pub given: Vec<f64>,
    /// T = D Z'V^-1 X, q x p.
    pub through: Vec<f64>,
}

impl Marginal {
    /// Coefficients, sigma and effects at x; `None` where the likelihood is not defined.
    pub fn solution(&self, x: &[f64]) -> Option<Solution> {
        let shared = self.shared(x);
        let whitened = self.whiten(&shared)?;
        let (m, beta) = self.solve_fixed(&whitened)?;
        let mut modes = vec![0.0; self.design.q];
        let mut r2 = 0.0;
        for (block, white) in self.blocks.iter().zip(&whitened) {
            let n = block.rows.len();
            let mut r = self.whitened_residual(white, n, &beta);
            r2 += crate::linalg::dot(&r, &r);
            backward_in_place(&white.l, n, &mut r, 1, n);
            let (columns, levels) = block.random_columns(&shared);
            let mut column = columns.chunks_exact(n);
            for (f, level) in levels {
                for j in 0..self.design.groupings[f].width() {
                    let column = column.next().expect("a column for each effect");
                    modes[self.design.b_index(f, level, j)] = crate::linalg::dot(column, &r);
                }
            }
        }
        let sigma = (r2 / self.degrees_of_freedom()).sqrt();
        Some(Solution { unscaled: inverse(&m, beta.len()), beta, sigma, modes })
    }

    /// The effects of every outermost group at x.
    pub fn effects(&self, x: &[f64]) -> Option<Vec<BlockEffects>> {
        let shared = self.shared(x);
        let whitened = self.whiten(&shared)?;
        let p = self.design.fixed[0].p();
        let effects = self.blocks.iter().zip(&whitened).map(|(block, white)| {
            let n = block.rows.len();
            let (mut columns, levels) = block.random_columns(&shared);
            let q = columns.len() / n;
            forward_in_place(&white.l, n, &mut columns, q, n);
            let column = |k: usize| &columns[k * n..(k + 1) * n];
            let mut given = vec![0.0; q * q];
            let mut first = 0;
            for &(f, _) in &levels {
                let (width, lambda) = (self.design.groupings[f].width(), &shared.factors[f]);
                for j in 0..width {
                    for i in 0..width {
                        let d: f64 = lambda.chunks_exact(width).map(|column| column[i] * column[j]).sum();
                        given[(first + j) * q + first + i] = d;
                    }
                }
                first += width;
            }
            for j in 0..q {
                for i in 0..q {
                    given[j * q + i] -= crate::linalg::dot(column(i), column(j));
                }
            }
            let through = (0..p)
                .flat_map(|j| (0..q).map(move |k| (j, k)))
                .map(|(j, k)| crate::linalg::dot(column(k), &white.xy[j * n..(j + 1) * n]))
                .collect();
            BlockEffects { levels, given, through }
        });
        Some(effects.collect())
    }

    /// d fitted / d observed of each row, the parameters held: 1 - (S R S P)_ii with
    /// P = V^-1 - V^-1 X (X'V^-1 X)^-1 X'V^-1.
    pub fn leverage(&self, x: &[f64]) -> Option<Vec<f64>> {
        let shared = self.shared(x);
        let whitened = self.whiten(&shared)?;
        let (m, _) = self.solve_fixed(&whitened)?;
        let p = self.design.fixed[0].p();
        let unscaled = inverse(&m, p);
        let mut out = vec![0.0; self.design.n];
        for (block, white) in self.blocks.iter().zip(&whitened) {
            let n = block.rows.len();
            let v = inverse(&white.l, n);
            let mut b = white.xy[..n * p].to_vec();
            backward_in_place(&white.l, n, &mut b, p, n);
            for (at, &i) in block.rows.iter().enumerate() {
                let e = &white.e[at * n..(at + 1) * n];
                let through: Vec<f64> = (0..p).map(|j| crate::linalg::dot(e, &b[j * n..(j + 1) * n])).collect();
                let fixed: f64 =
                    (0..p).map(|j| b[j * n + at] * crate::linalg::dot(&through, &unscaled[j * p..(j + 1) * p])).sum();
                out[i] = 1.0 - crate::linalg::dot(e, &v[at * n..(at + 1) * n]) + fixed;
            }
        }
        Some(out)
    }

    /// Applies C or its inverse, R = CC' by Cholesky in the order of the rows, to a value of each row, within the groups
    /// of the correlation; values are left as they are where residuals are independent.
    pub fn correlate(&self, x: &[f64], values: &mut [f64], inverse: bool) {
        let Some(correlation) = &self.residual.correlation else { return };
        let rho = &x[self.places.correlation.clone()];
        for block in self.blocks.iter() {
            for (members, places) in grouped(correlation, &block.rows) {
                let n = members.len();
                let mut r = vec![0.0; n * n];
                let places = Places { rows: n, width: correlation.width, values: &places };
                correlation.structure.correlation_into(rho, places, &mut r);
                if factor_in_place(&mut r, n).is_err() {
                    members.iter().for_each(|&at| values[block.rows[at]] = f64::NAN);
                    continue;
                }
                let mut own: Vec<f64> = members.iter().map(|&at| values[block.rows[at]]).collect();
                if inverse {
                    forward_in_place(&r, n, &mut own, 1, n);
                } else {
                    for i in (0..n).rev() {
                        own[i] = (0..=i).map(|k| r[k * n + i] * own[k]).sum();
                    }
                }
                members.iter().zip(own).for_each(|(&at, value)| values[block.rows[at]] = value);
            }
        }
    }
}
