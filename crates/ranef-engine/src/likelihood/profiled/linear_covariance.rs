//! P, Q and k of a covariance that is linear in its parameters, from the cached cross-products and relative to sigma^2.
//!
//! V = sum_r sigma_r Z E_r Z' + sigma_e W^-1, r over the entries of each term's Sigma; E_r holds the basis matrix G_r of the
//! structure in every level. With F = Z'Omega^-1 X and C = Z'Omega^-1 Z (at sigma = 1)
//!
//! ```text
//! P_r = - F' E_r F ,   Q_rs = F' E_r C E_s F ,   k_rs = tr(C E_r C E_s) ,
//! ```
//!
//! and those of the residual follow from sum_r sigma_r G_r = V. A variance of zero is an ordinary point.
//!
//! Reference: Kenward & Roger (1997), Biometrics 53, 983-997; Halekoh & Hojsgaard (2014), J. Stat. Softw. 59(9).
use super::Profiled;
use crate::covariance::LinearEntry;
use crate::likelihood::fixed_covariance::{CovarianceMoments, cross};
use crate::linalg::dense_cholesky::inverse;
use faer::linalg::solvers::DenseSolveCore;
use faer::{Mat, MatRef};
use rayon::prelude::*;

/// Random effects up to which a solve for each of them is worth its time.
const MOST_COLUMNS: usize = 4000;

impl Profiled {
    /// P, Q and k on the orthonormal basis Q of X (X = Q R), the residual last, at the theta evaluated last. `None` where
    /// Sigma is not linear in its parameters, or the traces are out of reach: many effects, and a sparse Schur complement
    /// or a singular Lambda.
    pub fn linear_moments(&mut self) -> Option<CovarianceMoments> {
        let theta = self.state.as_ref()?.theta.clone()?;
        let entries = self.design.template.linear_entries()?;
        let (p, n, size) = (self.p(), self.design.n as f64, self.response.zy.len());
        let (f, _) = self.fixed_products();
        let moved: Vec<Vec<f64>> = entries.iter().map(|entry| self.times_entry(entry, &f)).collect();
        let fixed = inverse(self.factorization.border_factor(), p);
        let mut first: Vec<Vec<f64>> = moved.iter().map(|moved| negated(cross(&f, moved, p))).collect();
        let count = entries.len();
        let mut second = vec![Vec::new(); (count + 1) * (count + 1)];
        let at = |r: usize, s: usize| s * (count + 1) + r;
        for s in 0..count {
            let carried: Vec<f64> =
                moved[s].chunks_exact(size.max(1)).flat_map(|column| self.times_c(column)).collect();
            for r in 0..count {
                second[at(r, s)] = cross(&moved[r], &carried, p);
            }
        }
        let by_moments = if self.is_singular(&theta) { None } else { self.entry_traces(&entries) };
        let (traces, single) = by_moments.or_else(|| self.entry_traces_by_columns(&entries))?;
        let mut all = vec![0.0; (count + 1) * (count + 1)];
        for s in 0..count {
            for r in 0..count {
                all[at(r, s)] = traces[s * count + r];
            }
        }
        // The residual's from homogeneity, sigma_e = 1.
        let values: Vec<f64> = entries.iter().map(|entry| self.value_of(entry)).collect();
        let weighted = |parts: &dyn Fn(usize) -> f64| values.iter().enumerate().map(|(s, v)| v * parts(s)).sum::<f64>();
        let precision = self.fixed_precision();
        first.push((0..p * p).map(|k| -precision[k] - weighted(&|s| first[s][k])).collect());
        for r in 0..count {
            let by_residual: Vec<f64> = (0..p * p).map(|k| -first[r][k] - weighted(&|s| second[at(r, s)][k])).collect();
            second[at(count, r)] = (0..p * p).map(|k| by_residual[(k % p) * p + k / p]).collect();
            second[at(r, count)] = by_residual;
            let trace = single[r] - weighted(&|s| all[at(r, s)]);
            all[at(r, count)] = trace;
            all[at(count, r)] = trace;
        }
        second[at(count, count)] =
            (0..p * p).map(|k| -first[count][k] - weighted(&|s| second[at(count, s)][k])).collect();
        let residual = n - weighted(&|s| single[s]);
        all[at(count, count)] = residual - weighted(&|s| all[at(count, s)]);
        Some(CovarianceMoments { fixed, first, second, traces: all })
    }

    /// sigma_r relative to sigma^2.
    fn value_of(&self, entry: &LinearEntry) -> f64 {
        let (width, (i, j)) = (self.design.b.widths[entry.factor], entry.place);
        self.state().factors[entry.factor].chunks_exact(width).map(|column| column[i] * column[j]).sum()
    }

    /// E_r x for columns x over all effects b.
    fn times_entry(&self, entry: &LinearEntry, x: &[f64]) -> Vec<f64> {
        let (pattern, widths) = (&self.design.pattern, &self.design.b.widths);
        let (offset, w, size) = (pattern.offsets(widths)[entry.factor], widths[entry.factor], self.response.zy.len());
        let mut out = vec![0.0; x.len()];
        for (x, out) in x.chunks_exact(size.max(1)).zip(out.chunks_exact_mut(size.max(1))) {
            for level in 0..pattern.levels(entry.factor) {
                let at = offset + level * w;
                for j in 0..w {
                    for i in 0..w {
                        out[at + i] += entry.matrix[j * w + i] * x[at + j];
                    }
                }
            }
        }
        out
    }

    /// C x = B x - B Lambda M_uu^-1 Lambda' B x.
    fn times_c(&self, x: &[f64]) -> Vec<f64> {
        let (p, q, size, factors) = (self.p(), self.factorization.n_random(), x.len(), &self.state().factors);
        let padded = |mut x: Vec<f64>| {
            x.resize(size + p, 0.0);
            x
        };
        let mut product = self.times_cross_products(&padded(x.to_vec()));
        let mut u = vec![0.0; q];
        self.times_transposed_into(factors, &product, &mut u);
        self.factorization.solve_random_in_place(&mut u, 1);
        let explained = self.times_cross_products(&padded(self.times_factors(factors, &u)));
        product.iter_mut().zip(explained).for_each(|(value, explained)| *value -= explained);
        product.truncate(size);
        product
    }

    /// Q' Omega^-1 Q from its Cholesky factor.
    fn fixed_precision(&self) -> Vec<f64> {
        let (p, l) = (self.p(), self.factorization.border_factor());
        (0..p * p).map(|at| (0..=(at % p).min(at / p)).map(|k| l[k * p + at % p] * l[k * p + at / p]).sum()).collect()
    }

    /// tr(C E_r C E_s) for all pairs and tr(C E_r), where Lambda has full rank: with Lambda'C Lambda = I - M^-1. `None` where
    /// it is not square or the Schur complement is sparse.
    fn entry_traces(&mut self, entries: &[LinearEntry]) -> Option<(Vec<f64>, Vec<f64>)> {
        if self.design.template.widths() != self.design.template.ranks() {
            return None;
        }
        let moves: Vec<(usize, Mat<f64>)> = (entries.iter())
            .map(|entry| {
                let w = self.design.b.widths[entry.factor];
                (entry.factor, MatRef::from_column_major_slice(&entry.matrix, w, w).to_owned())
            })
            .collect();
        let mut inverse = self.inverse.clone();
        self.factorization.selected_inverse_random_into(&mut inverse);
        let moments = self.factorization.inverse_moments(&inverse, false)?;
        let pairs = self.traces(&moves, &moments);
        let single = moves.iter().map(|(f, matrix)| {
            let (r, levels) = (self.factorization.ranks()[*f], self.design.pattern.levels(*f));
            let lambda = MatRef::from_column_major_slice(&self.state().factors[*f], r, r).partial_piv_lu().inverse();
            let scaled = &lambda * matrix * lambda.transpose();
            let blocks = inverse.diag[*f].chunks_exact(r * r);
            (0..r).map(|a| scaled[(a, a)]).sum::<f64>() * levels as f64
                - blocks
                    .map(|block| (0..r * r).map(|at| block[at] * scaled[(at % r, at / r)]).sum::<f64>())
                    .sum::<f64>()
        });
        Some((pairs, single.collect()))
    }
}

impl Profiled {
    /// The same from the columns of C, one level after the other, whatever the rank. `None` where there are too many.
    fn entry_traces_by_columns(&self, entries: &[LinearEntry]) -> Option<(Vec<f64>, Vec<f64>)> {
        let (pattern, widths, size) = (&self.design.pattern, &self.design.b.widths, self.response.zy.len());
        if size > MOST_COLUMNS {
            return None;
        }
        let (count, offsets) = (entries.len(), pattern.offsets(widths));
        let levels: Vec<(usize, usize)> =
            (0..pattern.n_factors()).flat_map(|f| (0..pattern.levels(f)).map(move |level| (f, level))).collect();
        let parts: Vec<(Vec<f64>, Vec<f64>)> = levels
            .par_iter()
            .map(|&(g, other)| {
                let (w, at) = (widths[g], offsets[g] + other * widths[g]);
                let columns: Vec<Vec<f64>> = (0..w)
                    .map(|b| {
                        let mut unit = vec![0.0; size];
                        unit[at + b] = 1.0;
                        self.times_c(&unit)
                    })
                    .collect();
                let (mut pairs, mut single) = (vec![0.0; count * count], vec![0.0; count]);
                for (s, entry) in entries.iter().enumerate().filter(|(_, entry)| entry.factor == g) {
                    // The columns times G_s.
                    let moved: Vec<Vec<f64>> = (0..w)
                        .map(|d| {
                            let terms = (0..w).filter(|b| entry.matrix[d * w + b] != 0.0);
                            terms.fold(vec![0.0; size], |mut sum, b| {
                                let weight = entry.matrix[d * w + b];
                                sum.iter_mut().zip(&columns[b]).for_each(|(sum, c)| *sum += weight * c);
                                sum
                            })
                        })
                        .collect();
                    single[s] = (0..w).map(|d| moved[d][at + d]).sum();
                    for (r, entry) in entries.iter().enumerate() {
                        let (width, first) = (widths[entry.factor], offsets[entry.factor]);
                        for level in 0..pattern.levels(entry.factor) {
                            let row = first + level * width;
                            for (place, one) in entry.matrix.iter().enumerate().filter(|(_, one)| **one != 0.0) {
                                let (a, c) = (row + place % width, row + place / width);
                                pairs[s * count + r] += one * (0..w).map(|d| moved[d][a] * columns[d][c]).sum::<f64>();
                            }
                        }
                    }
                }
                (pairs, single)
            })
            .collect();
        let (mut pairs, mut single) = (vec![0.0; count * count], vec![0.0; count]);
        for (own_pairs, own_single) in parts {
            pairs.iter_mut().zip(own_pairs).for_each(|(total, own)| *total += own);
            single.iter_mut().zip(own_single).for_each(|(total, own)| *total += own);
        }
        Some((pairs, single))
    }
}

fn negated(mut values: Vec<f64>) -> Vec<f64> {
    values.iter_mut().for_each(|value| *value = -*value);
    values
}
