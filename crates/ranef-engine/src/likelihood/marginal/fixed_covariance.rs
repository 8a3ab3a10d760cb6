//! The covariance of the fixed effects at given parameters and its derivatives, block by block.
use super::Marginal;
use crate::likelihood::fixed_covariance::{FixedCovariance, congruent};
use crate::linalg::dense_cholesky::{backward_in_place, inverse};
use rayon::prelude::*;

impl Marginal {
    /// (X'V^-1 X)^-1 of beta~ and its derivatives by x, and those of log sigma, which is profiled out:
    ///
    /// ```text
    /// d log sigma / dx_k = - a' (dV/dx_k) a / (2 r2) ,   a = V^-1 r .
    /// ```
    ///
    /// `None` where the likelihood is not defined.
    pub fn fixed_covariance(&self, x: &[f64]) -> Option<(FixedCovariance, Vec<f64>)> {
        let shared = self.shared(x);
        let whitened = self.whiten(&shared)?;
        let (m, beta) = self.solve_fixed(&whitened)?;
        let (p, dim) = (beta.len(), x.len());
        // V^-1 [X, r] of each block.
        let solved: Vec<Vec<f64>> = (self.blocks.iter().zip(&whitened))
            .map(|(block, white)| {
                let n = block.rows.len();
                let mut columns = white.xy[..n * p].to_vec();
                columns.extend(self.whitened_residual(white, n, &beta));
                backward_in_place(&white.l, n, &mut columns, p + 1, n);
                columns
            })
            .collect();
        let r2: f64 = (self.blocks.iter().zip(&whitened))
            .map(|(block, white)| {
                self.whitened_residual(white, block.rows.len(), &beta).iter().map(|r| r * r).sum::<f64>()
            })
            .sum();
        // v_a' (dV/dx_k) v_b for all k at once, as the gradient of a function whose derivative by V is v_a v_b'.
        let along = |a: usize, b: usize| -> Vec<f64> {
            let parts: Vec<_> = (self.blocks.par_iter().zip(&whitened).zip(&solved))
                .map(|((block, white), solved)| {
                    let n = block.rows.len();
                    let (left, right) = (&solved[a * n..(a + 1) * n], &solved[b * n..(b + 1) * n]);
                    let g: Vec<f64> = (0..n * n)
                        .map(|at| 0.5 * (left[at % n] * right[at / n] + left[at / n] * right[at % n]))
                        .collect();
                    self.parts(&shared, block, white, &g)
                })
                .collect();
            let mut out = vec![0.0; dim];
            self.add_up(x, &parts, &mut out);
            out
        };
        let mut moved = vec![vec![0.0; p * p]; dim];
        for b in 0..p {
            for a in 0..=b {
                for (k, value) in along(a, b).into_iter().enumerate() {
                    moved[k][b * p + a] = value;
                    moved[k][a * p + b] = value;
                }
            }
        }
        let log_sigma = along(p, p).into_iter().map(|value| -0.5 * value / r2).collect();
        let value = inverse(&m, p);
        let slopes = moved.iter().map(|moved| congruent(&value, moved, p)).collect();
        Some((FixedCovariance { value, slopes }, log_sigma))
    }
}
