//! P, Q and k of a covariance that is linear in some parameters, block by block and relative to sigma^2.
//!
//! The derivatives of V are those by the entries of each term's Sigma, by gamma, by the correlation's parameters and by
//! log sigma: they span what the derivatives by the parameters in which V is linear span.
use super::Marginal;
use crate::likelihood::fixed_covariance::{CovarianceMoments, cross};
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
        let distinct = |mut keys: Vec<Vec<u64>>| {
            keys.sort_unstable();
            keys.dedup();
            keys.len()
        };
        let rows = 0..self.design.n;
        match &self.residual.correlation {
            // Known weights may differ within a cell.
            None => distinct(rows.map(|i| cell(i)[1..].to_vec()).collect()) == p,
            Some(correlation) => match correlation.structure.card().name {
                "cs" => p == 1 && distinct(rows.map(cell).collect()) == 1,
                "us" => {
                    let occasion = |i: usize| correlation.places[i * correlation.width].to_bits();
                    let occasions = distinct(rows.clone().map(|i| vec![occasion(i)]).collect());
                    let both = rows.clone().map(|i| std::iter::once(occasion(i)).chain(cell(i)).collect());
                    occasions == p && distinct(both.collect()) == p && distinct(rows.map(cell).collect()) == p
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
        let parts: Vec<_> = (self.blocks.par_iter().zip(&whitened))
            .map(|(block, white)| {
                let n = block.rows.len();
                let mut directions = self.gamma_directions(block, white);
                directions
                    .extend(entries.iter().map(|entry| block.entry_direction(&shared, entry.factor, &entry.matrix)));
                directions.append(&mut self.correlation_directions(&shared, block));
                directions.iter_mut().for_each(|v| super::whiten_both_sides(&white.l, n, v));
                // V moves by 2 V with log sigma.
                directions.push((0..n * n).map(|at| if at % n == at / n { 2.0 } else { 0.0 }).collect());
                share(&directions, &white.xy[..n * p], p)
            })
            .collect();
        let mut found = parts.into_iter().reduce(|mut total, part| {
            for (total, part) in
                total.first.iter_mut().chain(&mut total.second).zip(part.first.iter().chain(&part.second))
            {
                super::add(total, part);
            }
            super::add(&mut total.traces, &part.traces);
            total
        })?;
        found.fixed = inverse(&m, p);
        Some(found)
    }
}

/// What a block adds, from L^-1 G_r L^-T and L^-1 X.
pub(crate) fn share(directions: &[Vec<f64>], x: &[f64], p: usize) -> CovarianceMoments {
    let (count, n) = (directions.len(), x.len().checked_div(p).unwrap_or(0));
    let moved: Vec<Vec<f64>> = directions
        .iter()
        .map(|v| {
            let columns = x.chunks_exact(n.max(1));
            columns.flat_map(|x| (0..n).map(|i| crate::linalg::dot(&v[i * n..(i + 1) * n], x))).collect()
        })
        .collect();
    let (mut second, mut traces) = (Vec::with_capacity(count * count), Vec::with_capacity(count * count));
    for s in 0..count {
        for r in 0..count {
            second.push(cross(&moved[r], &moved[s], p));
            traces.push(crate::linalg::dot(&directions[r], &directions[s]));
        }
    }
    let first = moved.iter().map(|moved| cross(x, moved, p).into_iter().map(|value| -value).collect()).collect();
    CovarianceMoments { fixed: Vec::new(), first, second, traces }
}
