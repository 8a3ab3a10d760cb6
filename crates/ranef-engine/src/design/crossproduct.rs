//! Z' W Z in blocks, with a border for fixed effects: the one accumulation that every likelihood needs.
use super::{Column, Design, add_up};
use crate::family::packed2;
use crate::linalg::{BlockMatrix, PARALLEL_ROWS, Pair, Pattern};
use rayon::prelude::*;
use std::ops::Range;

/// W of all rows: for predictors k <= l at `packed2(k, l)` a value for each row; empty where it is known to be zero or
/// is not needed.
pub type RowWeights = [Vec<f64>];

impl Design {
    /// Writes [Z X_in]' W [Z X_in] into `out`, where X_in are the fixed effects of predictor `inside` (the border).
    pub fn crossproduct_into(
        &self,
        pattern: &Pattern,
        weights: &RowWeights,
        inside: Option<usize>,
        out: &mut BlockMatrix,
    ) {
        out.clear();
        let diagonal = |(f, target): (usize, &mut Vec<f64>)| self.diagonal_into(weights, f, target);
        let pairs = |(pair, target): (&Pair, &mut Vec<f64>)| self.pair_into(weights, pair, target);
        if self.n < PARALLEL_ROWS {
            out.diag.iter_mut().enumerate().for_each(diagonal);
            pattern.pairs().iter().zip(&mut out.off).for_each(pairs);
        } else {
            let BlockMatrix { diag, off, .. } = out;
            rayon::join(
                || diag.par_iter_mut().enumerate().for_each(diagonal),
                || pattern.pairs().par_iter().zip(off).for_each(pairs),
            );
        }
        if let Some(inside) = inside {
            self.border_into(weights, inside, out);
        }
    }

    /// The blocks of one grouping factor with itself.
    fn diagonal_into(&self, weights: &RowWeights, f: usize, out: &mut [f64]) {
        let grouping = &self.groupings[f];
        let (width, block) = (grouping.width(), grouping.width() * grouping.width());
        add_up(self.n, out, |rows, sums| {
            for j in 0..width {
                for i in 0..=j {
                    let w = &weights[packed2(grouping.predictors[i], grouping.predictors[j])];
                    let (zi, zj) = (&grouping.columns[i], &grouping.columns[j]);
                    if !w.is_empty() {
                        add_by_index(rows.clone(), w, zi, zj, &grouping.codes, block, &mut sums[j * width + i..]);
                    }
                }
            }
        });
        for target in out.chunks_exact_mut(block.max(1)) {
            for j in 0..width {
                for i in 0..j {
                    target[i * width + j] = target[j * width + i];
                }
            }
        }
    }

    /// The blocks of two grouping factors.
    fn pair_into(&self, weights: &RowWeights, pair: &Pair, out: &mut [f64]) {
        if pair.is_own() {
            return;
        }
        let (first, second) = (&self.groupings[pair.first], &self.groupings[pair.second]);
        let (p, q) = (first.width(), second.width());
        add_up(self.n, out, |rows, sums| {
            for j in 0..q {
                for i in 0..p {
                    let w = &weights[packed2(first.predictors[i], second.predictors[j])];
                    let (zi, zj) = (&first.columns[i], &second.columns[j]);
                    if !w.is_empty() {
                        add_by_index(rows.clone(), w, zi, zj, &pair.slot_of_row, p * q, &mut sums[j * p + i..]);
                    }
                }
            }
        });
    }

    /// [Z X_in]' W x for column j of predictor l's fixed effects.
    pub(crate) fn weighted_column(&self, weights: &RowWeights, inside: Option<usize>, l: usize, j: usize) -> Vec<f64> {
        let mut out = vec![0.0; self.q + inside.map_or(0, |k| self.fixed[k].p())];
        if let Some(basis) = self.fixed[l].level_basis().filter(|basis| j < basis.n_levels()) {
            for (i, value) in basis.entries(j) {
                for k in 0..self.n_predictors() {
                    let Some(w) = weights[packed2(k, l)].get(i) else { continue };
                    self.gather_random_row(i, k, w * value, &mut out);
                    if inside == Some(k) {
                        self.fixed[k].row(i).iter().for_each(|(at, x)| out[self.q + at] += w * value * x);
                    }
                }
            }
            return out;
        }
        add_up(self.n, &mut out, |rows, sums| {
            let x = &self.fixed[l].dense_column(j)[rows.clone()];
            let weighted: Vec<Vec<f64>> = (0..self.n_predictors())
                .map(|k| match weights[packed2(k, l)].get(rows.clone()) {
                    Some(w) => w.iter().zip(x).map(|(w, x)| w * x).collect(),
                    None => Vec::new(),
                })
                .collect();
            let (random, fixed) = sums.split_at_mut(self.q);
            self.gather_random_rows(rows.clone(), &weighted, random);
            if let Some(k) = inside {
                self.fixed[k].gather_rows(rows, &weighted[k], fixed);
            }
        });
        out
    }

    /// X'WX over the fixed effects of all predictors, one after the other.
    pub(crate) fn fixed_crossproduct(&self, weights: &RowWeights) -> Vec<f64> {
        let mut starts = vec![0];
        for fixed in &self.fixed {
            starts.push(starts[starts.len() - 1] + fixed.p());
        }
        let total = starts[self.fixed.len()];
        let mut out = vec![0.0; total * total];
        if self.fixed.iter().any(|fixed| fixed.level_basis().is_some()) {
            self.add_sparse_crossproduct(weights, &starts, &mut out);
        } else {
            self.add_dense_crossproduct(weights, &starts, &mut out);
        }
        for j in 0..total {
            for i in 0..j {
                out[i * total + j] = out[j * total + i];
            }
        }
        out
    }

    /// Adds the upper triangle row by row.
    fn add_sparse_crossproduct(&self, weights: &RowWeights, starts: &[usize], out: &mut [f64]) {
        let total = starts[self.fixed.len()];
        for i in 0..self.n {
            let rows: Vec<Vec<(usize, f64)>> = self.fixed.iter().map(|fixed| fixed.row(i)).collect();
            for (l, right) in rows.iter().enumerate() {
                for (k, left) in rows.iter().enumerate().take(l + 1) {
                    let Some(w) = weights[packed2(k, l)].get(i) else { continue };
                    for (j, x) in right {
                        let column = &mut out[(starts[l] + j) * total + starts[k]..];
                        left.iter().for_each(|(at, z)| column[*at] += w * x * z);
                    }
                }
            }
        }
    }

    fn add_dense_crossproduct(&self, weights: &RowWeights, starts: &[usize], out: &mut [f64]) {
        let total = starts[self.fixed.len()];
        add_up(self.n, out, |rows, sums| {
            for (l, right) in self.fixed.iter().enumerate() {
                for (k, left) in self.fixed.iter().enumerate().take(l + 1) {
                    let Some(w) = weights[packed2(k, l)].get(rows.clone()) else { continue };
                    for j in 0..right.p() {
                        let x = &right.column(j)[rows.clone()];
                        let weighted: Vec<f64> = w.iter().zip(x).map(|(w, x)| w * x).collect();
                        let at = (starts[l] + j) * total + starts[k];
                        left.gather_rows(rows.clone(), &weighted, &mut sums[at..at + left.p()]);
                    }
                }
            }
        });
    }

    /// The same for columns by level, row by row.
    fn sparse_border_into(&self, weights: &RowWeights, inside: usize, out: &mut BlockMatrix) {
        let fixed = &self.fixed[inside];
        let (p, own) = (fixed.p(), &weights[packed2(inside, inside)]);
        for row in 0..self.n {
            let entries = fixed.row(row);
            for (f, grouping) in self.groupings.iter().enumerate() {
                let width = grouping.width();
                let target = &mut out.border[f][grouping.codes[row] as usize * width * p..];
                for (i, column) in grouping.columns.iter().enumerate() {
                    let Some(w) = weights[packed2(grouping.predictors[i], inside)].get(row) else { continue };
                    let z = w * column.at(row);
                    entries.iter().for_each(|(j, x)| target[j * width + i] += z * x);
                }
            }
            for (j, x) in &entries {
                let column = &mut out.corner[j * p..(j + 1) * p];
                entries.iter().for_each(|(i, z)| column[*i] += own[row] * x * z);
            }
        }
    }

    fn border_into(&self, weights: &RowWeights, inside: usize, out: &mut BlockMatrix) {
        let fixed = &self.fixed[inside];
        let p = fixed.p();
        if fixed.level_basis().is_some() {
            return self.sparse_border_into(weights, inside, out);
        }
        for (f, grouping) in self.groupings.iter().enumerate() {
            let width = grouping.width();
            for i in 0..width {
                let w = &weights[packed2(grouping.predictors[i], inside)];
                if w.is_empty() {
                    continue;
                }
                for j in 0..p {
                    let x = fixed.column(j);
                    let target = &mut out.border[f][j * width + i..];
                    for (row, &code) in grouping.codes.iter().enumerate() {
                        target[code as usize * width * p] += w[row] * grouping.columns[i].at(row) * x[row];
                    }
                }
            }
        }
        let w = &weights[packed2(inside, inside)];
        for j in 0..p {
            for i in 0..=j {
                let sum: f64 = w.iter().zip(fixed.column(i)).zip(fixed.column(j)).map(|((w, a), b)| w * a * b).sum();
                out.corner[j * p + i] = sum;
                out.corner[i * p + j] = sum;
            }
        }
    }
}

/// target[stride * index(row)] += w z_i z_j over some rows.
fn add_by_index(
    rows: Range<usize>,
    w: &[f64],
    zi: &Column,
    zj: &Column,
    index: &[u32],
    stride: usize,
    target: &mut [f64],
) {
    let (w, index) = (&w[rows.clone()], &index[rows.clone()]);
    match (zi, zj) {
        (Column::One, Column::One) => {
            for (w, &slot) in w.iter().zip(index) {
                target[slot as usize * stride] += w;
            }
        }
        (Column::One, Column::Values(z)) | (Column::Values(z), Column::One) => {
            for ((w, z), &slot) in w.iter().zip(&z[rows]).zip(index) {
                target[slot as usize * stride] += w * z;
            }
        }
        (Column::Values(a), Column::Values(b)) => {
            for (((w, a), b), &slot) in w.iter().zip(&a[rows.clone()]).zip(&b[rows]).zip(index) {
                target[slot as usize * stride] += w * a * b;
            }
        }
    }
}
