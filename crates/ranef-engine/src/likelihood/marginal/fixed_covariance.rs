//! The covariance of the fixed effects at given parameters and its derivatives, block by block.
use super::{Marginal, TOGETHER, add};
use crate::likelihood::fixed_covariance::{FixedCovariance, congruent, cross};
use crate::linalg::dense_cholesky::{backward_in_place, inverse};
use crate::linalg::dot;
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
        let p = beta.len();
        // [X, r]' V^-1 (dV/dx_k) V^-1 [X, r] for each k, and r'V^-1 r.
        let empty = || (vec![vec![0.0; (p + 1) * (p + 1)]; x.len()], 0.0);
        let parts: Vec<(Vec<Vec<f64>>, f64)> = (self.blocks.par_chunks(TOGETHER).zip(whitened.par_chunks(TOGETHER)))
            .map(|(blocks, whitened)| {
                let (mut total, mut squares) = empty();
                for (block, white) in blocks.iter().zip(whitened) {
                    let n = block.rows.len();
                    let mut columns = white.xy[..n * p].to_vec();
                    columns.extend(self.whitened_residual(white, n, &beta));
                    let r2 = dot(&columns[n * p..], &columns[n * p..]);
                    backward_in_place(&white.l, n, &mut columns, p + 1, n);
                    let directions = self.directions(&shared, x, block, white);
                    for (total, v) in total.iter_mut().zip(&directions) {
                        let moved = columns.chunks_exact(n).flat_map(|c| v.chunks_exact(n).map(|row| dot(row, c)));
                        add(total, &cross(&columns, &moved.collect::<Vec<f64>>(), p + 1));
                    }
                    squares += r2;
                }
                (total, squares)
            })
            .collect();
        let (mut moved, mut r2) = empty();
        for (part, own) in &parts {
            moved.iter_mut().zip(part).for_each(|(total, part)| add(total, part));
            r2 += own;
        }
        let log_sigma = moved.iter().map(|moved| -0.5 * moved[(p + 1) * (p + 1) - 1] / r2).collect();
        let fixed = |moved: &Vec<f64>| -> Vec<f64> { (0..p * p).map(|k| moved[k / p * (p + 1) + k % p]).collect() };
        let value = inverse(&m, p);
        let slopes = moved.iter().map(|moved| congruent(&value, &fixed(moved), p)).collect();
        Some((FixedCovariance { value, slopes }, log_sigma))
    }
}
