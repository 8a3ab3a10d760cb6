//! The prior of the standardised effects u: independent, or coupled over the levels of a factor.
//!
//! u_f ~ N(0, (P_f(theta) (x) I)^{-1}): the joint density has u'Pu / 2 - log|P| / 2 and H has P, where P is the identity for
//! factors whose levels stand alone. With s = H^{-1} A'c (see `gradient.rs`),
//!
//! ```text
//! d Lap / d P = u u' / 2 + H^{-1} / 2 - P^{-1} / 2 - (s u' + u s') / 2       on P's pattern (sparse precision)
//! d Lap / d R = K / 2 - a a' / 2 + (a t' + t a') / 2 ,   a = P u ,   t = P s     (dense correlation R = P^{-1} = L L')
//!   with the marginal precision K = R^{-1} - R^{-1} H^{-1} R^{-1}, which comes with the blocks of H^{-1}.
//! ```
//!
//! Reference: Rue & Held (2005), Gaussian Markov Random Fields, section 2; Rasmussen & Williams (2006), section 5.4.
use super::fixed_covariance::cross;
use super::laplace::Laplace;
use crate::covariance::coupling::{Correlation, Form, Precision};
use crate::linalg::{BlockMatrix, RootedCorrelation, dense_cholesky};
use std::sync::Arc;

/// P of one grouping factor at the theta evaluated last.
#[derive(Clone, Debug, Default)]
pub(crate) enum FactorPrior {
    /// The identity.
    #[default]
    Independent,
    /// Diagonal and entries left of it.
    Precision { diagonal: Vec<f64>, off: Vec<f64>, log_det: f64 },
    /// R of each block with its root L, and the theta they belong to.
    Correlation { blocks: Vec<Arc<RootedCorrelation>>, theta: Vec<f64> },
}

/// P of every grouping factor.
#[derive(Clone, Debug, Default)]
pub(crate) struct Prior {
    factors: Vec<FactorPrior>,
}

impl Prior {
    /// log|P| as far as a factorisation of H does not count it.
    pub(super) fn log_det(&self) -> f64 {
        let log_det = |prior: &FactorPrior| match prior {
            FactorPrior::Precision { log_det, .. } => *log_det,
            _ => 0.0,
        };
        self.factors.iter().map(log_det).sum()
    }
}

impl Laplace {
    /// Sets P for the theta of x; `false` where it is not positive definite.
    pub(super) fn set_prior(&mut self, x: &[f64]) -> bool {
        let (data, theta) = (self.data.clone(), &x[self.layout.theta.clone()]);
        let template = &data.design.template;
        if !template.is_coupled() {
            return true;
        }
        let mut factors = Vec::with_capacity(data.design.groupings.len());
        let mut before = std::mem::take(&mut self.state.prior).factors;
        for f in 0..data.design.groupings.len() {
            let own = &theta[template.coupling_range(f)];
            factors.push(match template.coupling(f).map(|coupling| (coupling.levels(), coupling.form())) {
                None => FactorPrior::Independent,
                Some((levels, Form::Precision(precision))) => {
                    let entries = precision.neighbours().lower.len();
                    let (mut diagonal, mut off) = (vec![0.0; levels], vec![0.0; entries]);
                    let log_det = precision.values_into(own, &mut diagonal, &mut off);
                    if !log_det.is_finite() {
                        return false;
                    }
                    // Each column of the term has the same P.
                    let rank = template.ranks()[f] as f64;
                    FactorPrior::Precision { diagonal, off, log_det: rank * log_det }
                }
                Some((_, Form::Correlation(correlation))) => {
                    // Most points of the differences for a Hessian leave it as it is.
                    if let Some(FactorPrior::Correlation { theta, .. }) = before.get(f)
                        && theta == own
                    {
                        factors.push(std::mem::take(&mut before[f]));
                        continue;
                    }
                    let Some(blocks) = rooted(correlation, own) else { return false };
                    self.factorization.set_correlation(f, &blocks);
                    FactorPrior::Correlation { blocks, theta: own.to_vec() }
                }
            });
        }
        self.state.prior = Prior { factors };
        true
    }

    /// Adds the sparse precisions to the random part of H.
    pub(super) fn add_precisions(&mut self) {
        for (f, prior) in self.state.prior.factors.iter().enumerate() {
            let FactorPrior::Precision { diagonal, off, .. } = prior else { continue };
            let r = self.data.design.template.ranks()[f];
            let pair = self.pattern.own_pair(f).expect("a sparse precision has its pair");
            for (blocks, values) in [(&mut self.hessian.diag[f], diagonal), (&mut self.hessian.off[pair], off)] {
                for (block, value) in blocks.chunks_exact_mut(r * r).zip(values) {
                    (0..r).for_each(|a| block[a * r + a] += value);
                }
            }
        }
    }

    /// P u for u of all grouping factors.
    pub(crate) fn prior_product(&self, u: &[f64]) -> Vec<f64> {
        let mut out = u[..self.q].to_vec();
        for (f, prior) in self.state.prior.factors.iter().enumerate() {
            let r = self.data.design.template.ranks()[f];
            let levels = self.data.design.groupings[f].levels;
            let range = self.u_offsets[f]..self.u_offsets[f] + levels * r;
            let (u, out) = (&u[range.clone()], &mut out[range]);
            match prior {
                FactorPrior::Independent => {}
                FactorPrior::Precision { diagonal, off, .. } => {
                    for (level, value) in diagonal.iter().enumerate() {
                        (0..r).for_each(|a| out[level * r + a] *= value);
                    }
                    self.each_neighbour(f, |entry, level, lower| {
                        for a in 0..r {
                            out[level * r + a] += off[entry] * u[lower * r + a];
                            out[lower * r + a] += off[entry] * u[level * r + a];
                        }
                    });
                }
                FactorPrior::Correlation { blocks, .. } => {
                    let mut first = 0;
                    for RootedCorrelation { root, .. } in blocks.iter().map(Arc::as_ref) {
                        let s = root.len().isqrt();
                        let x = &mut out[first..first + s];
                        dense_cholesky::forward_in_place(root, s, x, 1, s);
                        dense_cholesky::backward_in_place(root, s, x, 1, s);
                        first += s;
                    }
                }
            }
        }
        out
    }

    /// Adds d Lap / d theta of the couplings, given u, s (both over u) and the selected inverse of H.
    pub(super) fn add_coupling_gradient(&self, s: &[f64], inverse: &BlockMatrix, gradient: &mut [f64]) {
        let template = &self.data.design.template;
        let theta = self.theta(&self.state.x);
        let u = &self.state.mode[..self.q];
        let (mut a, mut t) = (Vec::new(), Vec::new());
        for f in 0..self.data.design.groupings.len() {
            let range = template.coupling_range(f);
            let Some(coupling) = template.coupling(f).filter(|_| !range.is_empty()) else { continue };
            let (own, r) = (&theta[range.clone()], template.ranks()[f]);
            let (levels, offset) = (coupling.levels(), self.u_offsets[f]);
            match coupling.form() {
                Form::Precision(precision) => {
                    let pair = self.pattern.own_pair(f).expect("a sparse precision has its pair");
                    let part = PrecisionPart { precision, r, u: &u[offset..], s: &s[offset..] };
                    for (m, target) in gradient[range].iter_mut().enumerate() {
                        *target += part.slope(own, m, levels, &inverse.diag[f], &inverse.off[pair]);
                    }
                }
                Form::Correlation(correlation) => {
                    if a.is_empty() {
                        (a, t) = (self.prior_product(u), self.prior_product(s));
                    }
                    let (a, t) = (&a[offset..offset + levels], &t[offset..offset + levels]);
                    let target = &mut gradient[range];
                    add_correlation_slopes(correlation, own, a, t, &inverse.marginal[f], target);
                }
            }
        }
    }

    /// dP^{-1}/dtheta_m P u over all u, for a coupling's parameter: how the effects move with it where no data are.
    pub(crate) fn coupling_shift(&self, factor: usize, m: usize) -> Vec<f64> {
        let template = &self.data.design.template;
        let own = &self.theta(&self.state.x)[template.coupling_range(factor)];
        let coupling = template.coupling(factor).expect("the factor is coupled");
        let (r, levels, offset) = (template.ranks()[factor], coupling.levels(), self.u_offsets[factor]);
        let mut out = vec![0.0; self.q];
        match coupling.form() {
            Form::Precision(precision) => {
                let u = &self.state.mode[offset..offset + levels * r];
                let neighbours = precision.neighbours();
                let (mut diagonal, mut off) = (vec![0.0; levels], vec![0.0; neighbours.lower.len()]);
                precision.derivative_into(own, m, &mut diagonal, &mut off);
                for a in 0..r {
                    // -P^{-1} dP u, column by column of the term.
                    let mut x: Vec<f64> = (0..levels).map(|level| -diagonal[level] * u[level * r + a]).collect();
                    self.each_neighbour(factor, |entry, level, lower| {
                        x[level] -= off[entry] * u[lower * r + a];
                        x[lower] -= off[entry] * u[level * r + a];
                    });
                    precision.solve_in_place(own, &mut x);
                    x.iter().enumerate().for_each(|(level, value)| out[offset + level * r + a] = *value);
                }
            }
            Form::Correlation(correlation) => {
                let a = self.prior_product(&self.state.mode[..self.q]);
                let (mut first, n) = (offset, own.len());
                for block in 0..correlation.blocks().len() - 1 {
                    let s = correlation.blocks()[block + 1] - correlation.blocks()[block];
                    let mut derivatives = vec![vec![0.0; s * s]; n];
                    correlation.derivatives_into(own, block, &mut derivatives);
                    for (column, value) in derivatives[m].chunks_exact(s).zip(&a[first..first + s]) {
                        out[first..first + s].iter_mut().zip(column).for_each(|(target, d)| *target += d * value);
                    }
                    first += s;
                }
            }
        }
        out
    }

    /// T' dR T for a change of parameter m of a factor's coupling, with T = Lambda'F and U = R T of p columns: -U' dP U
    /// where the precision P is what there is.
    pub(crate) fn along_coupling(&self, factor: usize, m: usize, u: &[f64], t: &[f64], p: usize) -> Vec<f64> {
        let template = &self.data.design.template;
        let own = &self.theta(&self.state.x)[template.coupling_range(factor)];
        let coupling = template.coupling(factor).expect("the factor is coupled");
        let (r, levels, offset) = (template.ranks()[factor], coupling.levels(), self.u_offsets[factor]);
        let (mut left, mut right) = (Vec::with_capacity(levels * p), vec![0.0; levels * p]);
        let mut total = vec![0.0; p * p];
        for a in 0..r {
            let column = |from: &[f64], j: usize| -> Vec<f64> {
                (0..levels).map(|level| from[j * self.q + offset + level * r + a]).collect()
            };
            left.clear();
            match coupling.form() {
                Form::Precision(precision) => {
                    let neighbours = precision.neighbours();
                    let (mut diagonal, mut off) = (vec![0.0; levels], vec![0.0; neighbours.lower.len()]);
                    precision.derivative_into(own, m, &mut diagonal, &mut off);
                    for (j, out) in right.chunks_exact_mut(levels).enumerate() {
                        let x = column(u, j);
                        out.iter_mut().zip(&x).zip(&diagonal).for_each(|((out, x), d)| *out = -d * x);
                        self.each_neighbour(factor, |entry, level, lower| {
                            out[level] -= off[entry] * x[lower];
                            out[lower] -= off[entry] * x[level];
                        });
                        left.extend(x);
                    }
                }
                Form::Correlation(correlation) => {
                    right.fill(0.0);
                    (0..p).for_each(|j| left.extend(column(t, j)));
                    let blocks = correlation.blocks();
                    for block in 0..blocks.len() - 1 {
                        let (first, s) = (blocks[block], blocks[block + 1] - blocks[block]);
                        let mut derivatives = vec![vec![0.0; s * s]; own.len()];
                        correlation.derivatives_into(own, block, &mut derivatives);
                        for j in 0..p {
                            let at = j * levels + first;
                            for (d, &value) in derivatives[m].chunks_exact(s).zip(&left[at..at + s]) {
                                right[at..at + s].iter_mut().zip(d).for_each(|(out, d)| *out += d * value);
                            }
                        }
                    }
                }
            }
            let part = cross(&left, &right, p);
            total.iter_mut().zip(part).for_each(|(total, part)| *total += part);
        }
        total
    }

    /// Calls `visit(entry, level, lower)` for the entries left of the diagonal of a factor's precision.
    fn each_neighbour(&self, factor: usize, mut visit: impl FnMut(usize, usize, usize)) {
        let Some(pair) = self.pattern.own_pair(factor).map(|pair| &self.pattern.pairs()[pair]) else { return };
        for level in 0..pair.ptr.len() - 1 {
            for entry in pair.ptr[level]..pair.ptr[level + 1] {
                visit(entry, level, pair.second_level[entry] as usize);
            }
        }
    }
}

/// Each block of R with its root; `None` where one is not positive definite.
fn rooted(correlation: &dyn Correlation, theta: &[f64]) -> Option<Vec<Arc<RootedCorrelation>>> {
    let blocks = correlation.blocks();
    (0..blocks.len() - 1)
        .map(|block| {
            let s = blocks[block + 1] - blocks[block];
            let mut values = vec![0.0; s * s];
            correlation.values_into(theta, block, &mut values);
            let mut root = values.clone();
            dense_cholesky::factor_in_place(&mut root, s).ok()?;
            Some(Arc::new(RootedCorrelation { values, root }))
        })
        .collect()
}

/// What the slope along a parameter of a sparse precision needs.
struct PrecisionPart<'a> {
    precision: &'a dyn Precision,
    r: usize,
    u: &'a [f64],
    s: &'a [f64],
}

impl PrecisionPart<'_> {
    fn slope(&self, theta: &[f64], m: usize, levels: usize, diag: &[f64], between: &[f64]) -> f64 {
        let (r, u, s) = (self.r, self.u, self.s);
        let neighbours = self.precision.neighbours();
        let (mut diagonal, mut off) = (vec![0.0; levels], vec![0.0; neighbours.lower.len()]);
        let log_det = self.precision.derivative_into(theta, m, &mut diagonal, &mut off);
        let mut total = -0.5 * r as f64 * log_det;
        for level in 0..levels {
            let mut own = 0.0;
            for a in 0..r {
                let at = level * r + a;
                own += 0.5 * (u[at] * u[at] + diag[level * r * r + a * r + a]) - s[at] * u[at];
            }
            total += diagonal[level] * own;
            for entry in neighbours.ptr[level]..neighbours.ptr[level + 1] {
                let lower = neighbours.lower[entry] as usize;
                let mut own = 0.0;
                for a in 0..r {
                    let (i, j) = (level * r + a, lower * r + a);
                    own += u[i] * u[j] + between[entry * r * r + a * r + a] - s[i] * u[j] - s[j] * u[i];
                }
                total += off[entry] * own;
            }
        }
        total
    }
}

/// Adds the slopes along the parameters of a dense correlation.
fn add_correlation_slopes(
    correlation: &dyn Correlation,
    theta: &[f64],
    a: &[f64],
    t: &[f64],
    marginal: &[f64],
    out: &mut [f64],
) {
    let (mut first, mut at) = (0, 0);
    for (block, ends) in correlation.blocks().windows(2).enumerate() {
        let s = ends[1] - ends[0];
        let mut derivatives = vec![vec![0.0; s * s]; out.len()];
        correlation.derivatives_into(theta, block, &mut derivatives);
        let (a, t, k) = (&a[first..first + s], &t[first..first + s], &marginal[at..at + s * s]);
        for (target, d) in out.iter_mut().zip(&derivatives) {
            for ((d, k), &outer) in d.chunks_exact(s).zip(k.chunks_exact(s)).zip(a) {
                let terms = d.iter().zip(k).zip(a.iter().zip(t));
                *target += terms.map(|((d, k), (a, t))| d * (0.5 * k + outer * (t - 0.5 * a))).sum::<f64>();
            }
        }
        first += s;
        at += s * s;
    }
}
