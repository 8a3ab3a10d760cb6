//! P, Q and k of a Gaussian model on Laplace's path, whose covariance is linear in some parameters, from dense matrices of all
//! rows: for effects that a known matrix couples and residuals of modelled size.
use super::fixed_covariance::{CovarianceMoments, cross};
use super::laplace::Laplace;
use crate::covariance::coupling::Form;
use crate::design::Grouping;
use crate::family::packed2;
use crate::linalg::dense_cholesky::{factor_in_place, forward_in_place, inverse};

/// Rows up to which an n x n matrix for each parameter is worth its time and memory.
const MOST_ROWS: usize = 2000;

/// The share of some rows, from L^-1 G_r L^-T and L^-1 X, where V = L L'.
pub(super) fn share(directions: &[Vec<f64>], x: &[f64], p: usize) -> CovarianceMoments {
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

/// L^-1 V L^-T in place of a symmetric V.
pub(super) fn whiten_both_sides(l: &[f64], n: usize, v: &mut [f64]) {
    forward_in_place(l, n, v, n, n);
    for j in 0..n {
        for i in j + 1..n {
            v.swap(j * n + i, i * n + j);
        }
    }
    forward_in_place(l, n, v, n, n);
}

/// Whether the standard deviation is free in each cell of a design with these rows: as many different rows as columns.
pub(super) fn is_saturated(rows: impl Iterator<Item = Vec<u64>>, columns: usize) -> bool {
    let mut keys: Vec<Vec<u64>> = rows.collect();
    keys.sort_unstable();
    keys.dedup();
    keys.len() == columns
}

impl Laplace {
    /// Whether the covariance is linear in some parameters: matrices between levels are known, and the residual variance is
    /// free in each cell of its design.
    pub(crate) fn is_linear(&self) -> bool {
        let design = &self.data.design;
        let known = |f: usize| design.template.coupling(f).is_none_or(|coupling| coupling.parameters().is_empty());
        let dispersion = &design.fixed[1];
        let row = |i: usize| (0..dispersion.p()).map(|j| dispersion.column(j)[i].to_bits()).collect();
        design.template.linear_entries().is_some()
            && (0..design.groupings.len()).all(known)
            && (dispersion.p() == 0 || is_saturated((0..design.n).map(row), dispersion.p()))
    }

    /// P, Q and k of the mean's beta~ at the point evaluated last; `None` where there are too many rows.
    pub(crate) fn linear_moments(&self) -> Option<CovarianceMoments> {
        let design = &self.data.design;
        let (n, p) = (design.n, design.fixed[0].p());
        if n > MOST_ROWS {
            return None;
        }
        let weights = &self.state.rows.second[packed2(0, 0)];
        let relations: Vec<Option<Vec<f64>>> = (0..design.groupings.len()).map(|f| self.relation(f)).collect();
        let mut v = vec![0.0; n * n];
        (0..n).for_each(|i| v[i * n + i] = 1.0 / weights[i]);
        for (f, grouping) in design.groupings.iter().enumerate() {
            let (w, lambda) = (grouping.width(), &self.state.factors[f]);
            let sigma: Vec<f64> =
                (0..w * w).map(|at| lambda.chunks_exact(w).map(|c| c[at % w] * c[at / w]).sum()).collect();
            for (v, part) in v.iter_mut().zip(through(grouping, relations[f].as_deref(), &sigma)) {
                *v += part;
            }
        }
        let entries = design.template.linear_entries()?;
        let mut directions: Vec<Vec<f64>> = (entries.iter())
            .map(|e| through(&design.groupings[e.factor], relations[e.factor].as_deref(), &e.matrix))
            .collect();
        for j in 0..design.fixed[1].p() {
            let mut direction = vec![0.0; n * n];
            (0..n).for_each(|i| direction[i * n + i] = 2.0 * design.fixed[1].column(j)[i] / weights[i]);
            directions.push(direction);
        }
        factor_in_place(&mut v, n).ok()?;
        let mut x: Vec<f64> = (0..p).flat_map(|j| design.fixed[0].column(j).iter().copied()).collect();
        forward_in_place(&v, n, &mut x, p, n);
        directions.iter_mut().for_each(|direction| whiten_both_sides(&v, n, direction));
        let mut precision = cross(&x, &x, p);
        factor_in_place(&mut precision, p).ok()?;
        let mut moments = share(&directions, &x, p);
        moments.fixed = inverse(&precision, p);
        Some(moments)
    }

    /// R of a grouping factor's levels, levels x levels; `None` where they are independent.
    fn relation(&self, f: usize) -> Option<Vec<f64>> {
        let template = &self.data.design.template;
        let coupling = template.coupling(f)?;
        let (levels, own) = (coupling.levels(), &self.theta(&self.state.x)[template.coupling_range(f)]);
        let mut r = vec![0.0; levels * levels];
        match coupling.form() {
            Form::Precision(precision) => {
                for (level, column) in r.chunks_exact_mut(levels.max(1)).enumerate() {
                    column[level] = 1.0;
                    precision.solve_in_place(own, column);
                }
            }
            Form::Correlation(correlation) => {
                let blocks = correlation.blocks();
                for block in 0..blocks.len() - 1 {
                    let (first, s) = (blocks[block], blocks[block + 1] - blocks[block]);
                    let mut values = vec![0.0; s * s];
                    correlation.values_into(own, block, &mut values);
                    for j in 0..s {
                        for i in j..s {
                            r[(first + j) * levels + first + i] = values[j * s + i];
                            r[(first + i) * levels + first + j] = values[j * s + i];
                        }
                    }
                }
            }
        }
        Some(r)
    }
}

/// Z (R (x) E) Z' of one grouping factor, n x n.
fn through(grouping: &Grouping, relation: Option<&[f64]>, entry: &[f64]) -> Vec<f64> {
    let (n, w) = (grouping.codes.len(), grouping.width());
    let z: Vec<f64> = (0..n).flat_map(|i| grouping.columns.iter().map(move |column| column.at(i))).collect();
    let moved: Vec<f64> = (0..n)
        .flat_map(|i| (0..w).map(move |a| (i, a)))
        .map(|(i, a)| (0..w).map(|b| entry[b * w + a] * z[i * w + b]).sum())
        .collect();
    let mut out = vec![0.0; n * n];
    for j in 0..n {
        for i in 0..n {
            let (a, b) = (grouping.codes[i] as usize, grouping.codes[j] as usize);
            let related = relation.map_or(f64::from(u8::from(a == b)), |r| r[b * grouping.levels + a]);
            if related != 0.0 {
                out[j * n + i] = related * crate::linalg::dot(&moved[i * w..(i + 1) * w], &z[j * w..(j + 1) * w]);
            }
        }
    }
    out
}
