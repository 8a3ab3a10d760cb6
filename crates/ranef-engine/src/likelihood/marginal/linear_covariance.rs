//! P, Q and k of a covariance that is linear in some parameters, block by block and relative to sigma^2.
//!
//! The derivatives of V are those by the entries of each term's Sigma, by gamma, by the correlation's parameters and by
//! log sigma: they span what the derivatives by the parameters in which V is linear span.
use super::block::Block;
use super::{Marginal, TOGETHER, Whitened, add};
use crate::likelihood::dense_covariance::{is_saturated, share, whiten_both_sides};
use crate::likelihood::fixed_covariance::CovarianceMoments;
use crate::linalg::dense_cholesky::inverse;
use rayon::prelude::*;

impl Marginal {
    /// Whether the covariance of the residuals is linear in some parameters: a variance for each cell of the dispersion's
    /// design; or equal variances and correlations; or a variance for each occasion and a correlation for each pair.
    pub(crate) fn is_linear(&self) -> bool {
        if !self.residual.spreads.is_empty() {
            return false;
        }
        let p = self.places.gamma.len() + 1;
        let cell = |i: usize| -> Vec<u64> {
            let offset = self.design.fixed[1].offset().map_or(0.0, |offset| offset[i]);
            let columns = (0..p).map(|j| self.design.fixed[1].column(j)[i]);
            std::iter::once(offset).chain(columns).map(f64::to_bits).collect()
        };
        let rows = 0..self.design.n;
        match &self.residual.correlation {
            // Known weights may differ within a cell.
            None => is_saturated(rows.map(|i| cell(i)[1..].to_vec()), p),
            Some(correlation) => match correlation.structure.card().name {
                "cs" => p == 1 && is_saturated(rows.map(cell), 1),
                "us" => {
                    let occasion = |i: usize| correlation.places[i * correlation.width].to_bits();
                    let both = rows.clone().map(|i| std::iter::once(occasion(i)).chain(cell(i)).collect());
                    is_saturated(rows.clone().map(|i| vec![occasion(i)]), p)
                        && is_saturated(rows.map(cell), p)
                        && is_saturated(both, p)
                }
                _ => false,
            },
        }
    }

    /// P, Q and k of beta~ at x; `None` where the likelihood is not defined or a term's Sigma is not linear.
    pub(crate) fn linear_moments(&self, x: &[f64]) -> Option<CovarianceMoments> {
        let entries = self.design.template.linear_entries()?;
        let shared = self.shared(x);
        let whitened = self.whiten(&shared)?;
        let (m, beta) = self.solve_fixed(&whitened)?;
        let p = beta.len();
        let of_block = |block: &Block, white: &Whitened| {
            let n = block.rows.len();
            let mut directions = self.gamma_directions(block, white);
            directions.extend(entries.iter().map(|entry| block.entry_direction(&shared, entry.factor, &entry.matrix)));
            directions.append(&mut self.correlation_directions(&shared, block));
            directions.iter_mut().for_each(|v| whiten_both_sides(&white.l, n, v));
            // V moves by 2 V with log sigma.
            directions.push((0..n * n).map(|at| if at % n == at / n { 2.0 } else { 0.0 }).collect());
            share(&directions, &white.xy[..n * p], p)
        };
        let parts: Vec<Option<CovarianceMoments>> =
            (self.blocks.par_chunks(TOGETHER).zip(whitened.par_chunks(TOGETHER)))
                .map(|(blocks, whitened)| blocks.iter().zip(whitened).map(|(b, w)| of_block(b, w)).reduce(sum))
                .collect();
        let mut found = parts.into_iter().flatten().reduce(sum)?;
        found.fixed = inverse(&m, p);
        Some(found)
    }
}

fn sum(mut total: CovarianceMoments, part: CovarianceMoments) -> CovarianceMoments {
    let parts = part.first.iter().chain(&part.second);
    total.first.iter_mut().chain(&mut total.second).zip(parts).for_each(|(total, part)| add(total, part));
    add(&mut total.traces, &part.traces);
    total
}
