//! Covariance of each row's predictors, V_i = z_i S z_i', from the blocks of a covariance of all effects.
use super::{Column, Design, by_chunk};
use crate::family::packed2;
use crate::linalg::{BlockMatrix, Pattern};
use std::ops::Range;

impl Design {
    /// V of all rows at `packed2(k, l)`; `s` is a covariance of b (and of the fixed effects of predictor `inside`, in
    /// its border) on the pattern of Z'Z. Predictors without random effects have empty entries.
    pub fn row_covariance(&self, pattern: &Pattern, s: &BlockMatrix, inside: Option<usize>) -> Vec<Vec<f64>> {
        let mut v = self.uncertain_columns(self.n, inside);
        let columns = v.iter_mut().map(Vec::as_mut_slice).collect();
        by_chunk(self.n, columns, |rows, v| self.add_row_covariance(rows, pattern, s, inside, v));
        v
    }

    /// Zeros for V of some rows; empty where neither random effects nor fixed effects inside make it uncertain.
    pub(crate) fn uncertain_columns(&self, rows: usize, inside: Option<usize>) -> Vec<Vec<f64>> {
        let k = self.n_predictors();
        let uncertain = |predictor: usize| self.is_random(predictor) || inside == Some(predictor);
        let mut v = vec![Vec::new(); k * (k + 1) / 2];
        for b in 0..k {
            for a in 0..=b {
                if uncertain(a) && uncertain(b) {
                    v[packed2(a, b)] = vec![0.0; rows];
                }
            }
        }
        v
    }

    /// Adds V of some rows to `v`, which has these rows only.
    pub(crate) fn add_row_covariance(
        &self,
        rows: Range<usize>,
        pattern: &Pattern,
        s: &BlockMatrix,
        inside: Option<usize>,
        v: &mut [&mut [f64]],
    ) {
        // An entry of V between different predictors meets each pair of effects once, one on the diagonal twice.
        let times = |a: usize, b: usize| if a == b { 2.0 } else { 1.0 };
        for (f, grouping) in self.groupings.iter().enumerate() {
            let (width, columns, k) = (grouping.width(), &grouping.columns, &grouping.predictors);
            for j in 0..width {
                for i in 0..=j {
                    let factor = if i == j { 1.0 } else { times(k[i], k[j]) };
                    let source = &s.diag[f][j * width + i..];
                    let target = &mut *v[packed2(k[i], k[j])];
                    add_rows(
                        rows.clone(),
                        factor,
                        &columns[i],
                        &columns[j],
                        &grouping.codes,
                        source,
                        width * width,
                        target,
                    );
                }
            }
        }
        for (index, pair) in pattern.pairs().iter().enumerate().filter(|(_, pair)| !pair.is_own()) {
            let (first, second) = (&self.groupings[pair.first], &self.groupings[pair.second]);
            let (p, q) = (first.width(), second.width());
            for j in 0..q {
                for i in 0..p {
                    let (a, b) = (first.predictors[i], second.predictors[j]);
                    let source = &s.off[index][j * p + i..];
                    let (zi, zj) = (&first.columns[i], &second.columns[j]);
                    let target = &mut *v[packed2(a, b)];
                    add_rows(rows.clone(), times(a, b), zi, zj, &pair.slot_of_row, source, p * q, target);
                }
            }
        }
        if let Some(inside) = inside {
            self.add_border_rows(rows, s, inside, v);
        }
    }

    /// The same for columns by level, row by row.
    fn add_sparse_border_rows(&self, rows: Range<usize>, s: &BlockMatrix, inside: usize, v: &mut [&mut [f64]]) {
        let fixed = &self.fixed[inside];
        let p = fixed.p();
        for (at, row) in rows.enumerate() {
            let entries = fixed.row(row);
            for (f, grouping) in self.groupings.iter().enumerate() {
                let width = grouping.width();
                let source = &s.border[f][grouping.codes[row] as usize * width * p..];
                for (i, column) in grouping.columns.iter().enumerate() {
                    let k = grouping.predictors[i];
                    let factor = if k == inside { 2.0 } else { 1.0 };
                    let sum: f64 = entries.iter().map(|(j, x)| x * source[j * width + i]).sum();
                    v[packed2(k, inside)][at] += factor * column.at(row) * sum;
                }
            }
            let form: f64 = entries
                .iter()
                .map(|(j, x)| x * entries.iter().map(|(i, z)| z * s.corner[j * p + i]).sum::<f64>())
                .sum();
            v[packed2(inside, inside)][at] += form;
        }
    }

    fn add_border_rows(&self, rows: Range<usize>, s: &BlockMatrix, inside: usize, v: &mut [&mut [f64]]) {
        let fixed = &self.fixed[inside];
        let p = fixed.p();
        if fixed.level_basis().is_some() {
            return self.add_sparse_border_rows(rows, s, inside, v);
        }
        for (f, grouping) in self.groupings.iter().enumerate() {
            let width = grouping.width();
            for i in 0..width {
                let k = grouping.predictors[i];
                let factor = if k == inside { 2.0 } else { 1.0 };
                for j in 0..p {
                    let (x, source) = (&fixed.column(j)[rows.clone()], &s.border[f][j * width + i..]);
                    let target = &mut *v[packed2(k, inside)];
                    for (at, &code) in grouping.codes[rows.clone()].iter().enumerate() {
                        target[at] += factor
                            * grouping.columns[i].at(rows.start + at)
                            * x[at]
                            * source[code as usize * width * p];
                    }
                }
            }
        }
        let target = &mut *v[packed2(inside, inside)];
        for j in 0..p {
            for i in 0..=j {
                let factor = s.corner[j * p + i] * if i == j { 1.0 } else { 2.0 };
                for ((value, a), b) in
                    target.iter_mut().zip(&fixed.column(i)[rows.clone()]).zip(&fixed.column(j)[rows.clone()])
                {
                    *value += factor * a * b;
                }
            }
        }
    }
}

/// target += factor z_i z_j source[stride * index(row)] in some rows, of which `target` has no others.
fn add_rows(
    rows: Range<usize>,
    factor: f64,
    zi: &Column,
    zj: &Column,
    index: &[u32],
    source: &[f64],
    stride: usize,
    target: &mut [f64],
) {
    let index = &index[rows.clone()];
    match (zi, zj) {
        (Column::One, Column::One) => {
            for (value, &slot) in target.iter_mut().zip(index) {
                *value += factor * source[slot as usize * stride];
            }
        }
        (Column::One, Column::Values(z)) | (Column::Values(z), Column::One) => {
            for ((value, &slot), z) in target.iter_mut().zip(index).zip(&z[rows]) {
                *value += factor * z * source[slot as usize * stride];
            }
        }
        (Column::Values(a), Column::Values(b)) => {
            for (((value, &slot), a), b) in target.iter_mut().zip(index).zip(&a[rows.clone()]).zip(&b[rows]) {
                *value += factor * a * b * source[slot as usize * stride];
            }
        }
    }
}
