//! Everything the profiled likelihood needs of the rows, in one pass: Z'WZ, Z'WX, and for a response Z'Wy.
//!
//! Afterwards nothing has the length of the data, whatever the optimiser does.
use super::orthonormal::Orthonormal;
use crate::design::{Column, Grouping};
use crate::linalg::{BlockMatrix, PARALLEL_ROWS, Pattern};
use rayon::prelude::*;
use std::sync::Arc;

/// The rows of data as the cross-products see them.
#[derive(Clone, Debug)]
pub struct Rows {
    /// The grouping factors with their columns.
    pub groupings: Arc<Vec<Grouping>>,
    /// W^{1/2}, when there are weights.
    pub root_weights: Option<Vec<f64>>,
    /// The basis of W^{1/2} X.
    pub basis: Orthonormal,
}

impl Rows {
    fn root_weight(&self, i: usize) -> f64 {
        self.root_weights.as_ref().map_or(1.0, |s| s[i])
    }

    fn is_intercept(&self, f: usize) -> bool {
        matches!(self.groupings[f].columns[..], [Column::One])
    }

    /// W^{1/2} z of row i on factor f.
    fn z_into(&self, f: usize, i: usize, z: &mut [f64]) {
        let s = self.root_weight(i);
        for (z, column) in z.iter_mut().zip(&self.groupings[f].columns) {
            *z = s * column.at(i);
        }
    }

    /// Z'WZ, Z'W^{1/2}Q and Q'Q = I. Each array is filled by one task that walks the rows in order.
    pub fn cross_products(&self, pattern: &Pattern) -> BlockMatrix {
        let widths: Vec<usize> = self.groupings.iter().map(|grouping| grouping.columns.len()).collect();
        let mut b = BlockMatrix::zeros(pattern, &widths);
        let p = pattern.border();
        (0..p).for_each(|j| b.corner[j * p + j] = 1.0);
        let BlockMatrix { diag, off, border, .. } = &mut b;
        if self.groupings.first().is_none_or(|grouping| grouping.codes.len() < PARALLEL_ROWS) {
            diag.iter_mut().enumerate().for_each(|(f, diag)| self.fill_diagonal(f, diag));
            off.iter_mut().enumerate().for_each(|(k, off)| self.fill_pair(pattern, k, off));
            border.iter_mut().enumerate().for_each(|(f, border)| self.fill_border(f, border));
            return b;
        }
        rayon::join(
            || diag.par_iter_mut().enumerate().for_each(|(f, diag)| self.fill_diagonal(f, diag)),
            || {
                rayon::join(
                    || off.par_iter_mut().enumerate().for_each(|(k, off)| self.fill_pair(pattern, k, off)),
                    || border.par_iter_mut().enumerate().for_each(|(f, border)| self.fill_border(f, border)),
                )
            },
        );
        b
    }

    fn fill_diagonal(&self, f: usize, diag: &mut [f64]) {
        let (codes, w) = (&self.groupings[f].codes, self.groupings[f].columns.len());
        if self.is_intercept(f) {
            match &self.root_weights {
                None => codes.iter().for_each(|&code| diag[code as usize] += 1.0),
                Some(s) => codes.iter().zip(s).for_each(|(&code, s)| diag[code as usize] += s * s),
            }
            return;
        }
        let mut z = vec![0.0; w];
        for (i, &code) in codes.iter().enumerate() {
            self.z_into(f, i, &mut z);
            let block = &mut diag[code as usize * w * w..][..w * w];
            for b in 0..w {
                for a in 0..w {
                    block[b * w + a] += z[a] * z[b];
                }
            }
        }
    }

    fn fill_pair(&self, pattern: &Pattern, k: usize, off: &mut [f64]) {
        let pair = &pattern.pairs()[k];
        let (f, g) = (pair.first, pair.second);
        if self.is_intercept(f) && self.is_intercept(g) {
            for (i, &slot) in pair.slot_of_row.iter().enumerate() {
                let s = self.root_weight(i);
                off[slot as usize] += s * s;
            }
            return;
        }
        let (wf, wg) = (self.groupings[f].columns.len(), self.groupings[g].columns.len());
        let (mut zf, mut zg) = (vec![0.0; wf], vec![0.0; wg]);
        for (i, &slot) in pair.slot_of_row.iter().enumerate() {
            self.z_into(f, i, &mut zf);
            self.z_into(g, i, &mut zg);
            let block = &mut off[slot as usize * wf * wg..][..wf * wg];
            for b in 0..wg {
                for a in 0..wf {
                    block[b * wf + a] += zf[a] * zg[b];
                }
            }
        }
    }

    fn fill_border(&self, f: usize, border: &mut [f64]) {
        let (codes, w, p) = (&self.groupings[f].codes, self.groupings[f].columns.len(), self.basis.p());
        let unit = self.basis.unit();
        for rows in self.basis.tiles() {
            for (a, column) in self.groupings[f].columns.iter().enumerate() {
                if let (Column::One, None) = (column, &self.root_weights) {
                    let columns: Vec<&[f64]> = (0..p).map(|c| self.basis.column(&rows, c)).collect();
                    for (k, &code) in codes[rows.clone()].iter().enumerate() {
                        let block = &mut border[code as usize * p * w..(code as usize + 1) * p * w];
                        for (c, column) in columns.iter().enumerate() {
                            block[c * w + a] += column[k];
                        }
                    }
                    continue;
                }
                for c in 0..p {
                    for (i, q) in rows.clone().zip(self.basis.column(&rows, c)) {
                        border[(codes[i] as usize * p + c) * w + a] += self.root_weight(i) * column.at(i) * q;
                    }
                }
            }
        }
        border.iter_mut().for_each(|value| *value *= unit);
    }

    /// Z'W^{1/2} y for a y that is weighted already, laid out as the random effects b.
    pub fn times_response(&self, pattern: &Pattern, y: &[f64]) -> Vec<f64> {
        let widths: Vec<usize> = self.groupings.iter().map(|grouping| grouping.columns.len()).collect();
        let offsets = pattern.offsets(&widths);
        let mut zy = vec![0.0; offsets[self.groupings.len()]];
        for (f, grouping) in self.groupings.iter().enumerate() {
            let part = &mut zy[offsets[f]..offsets[f + 1]];
            for (a, column) in grouping.columns.iter().enumerate() {
                if let (Column::One, None) = (column, &self.root_weights) {
                    grouping.codes.iter().zip(y).for_each(|(&code, y)| part[code as usize * widths[f] + a] += y);
                    continue;
                }
                for (i, &code) in grouping.codes.iter().enumerate() {
                    part[code as usize * widths[f] + a] += self.root_weight(i) * column.at(i) * y[i];
                }
            }
        }
        zy
    }
}
