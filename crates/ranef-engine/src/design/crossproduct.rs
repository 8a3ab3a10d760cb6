//! Z' W Z in blocks, with a border for fixed effects: the one accumulation that every likelihood needs.
use super::{Column, Design};
use crate::family::packed2;
use crate::linalg::{BlockMatrix, Pattern};

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
        for (f, grouping) in self.groupings.iter().enumerate() {
            let width = grouping.width();
            let block = width * width;
            for j in 0..width {
                for i in 0..=j {
                    let w = &weights[packed2(grouping.predictors[i], grouping.predictors[j])];
                    if w.is_empty() {
                        continue;
                    }
                    let (zi, zj) = (&grouping.columns[i], &grouping.columns[j]);
                    let target = &mut out.diag[f][j * width + i..];
                    add_by_index(w, zi, zj, &grouping.codes, block, target);
                }
            }
            for level in 0..grouping.levels {
                let target = &mut out.diag[f][level * block..(level + 1) * block];
                for j in 0..width {
                    for i in 0..j {
                        target[i * width + j] = target[j * width + i];
                    }
                }
            }
        }
        for (index, pair) in pattern.pairs().iter().enumerate() {
            let (first, second) = (&self.groupings[pair.first], &self.groupings[pair.second]);
            let (rows, columns) = (first.width(), second.width());
            for j in 0..columns {
                for i in 0..rows {
                    let w = &weights[packed2(first.predictors[i], second.predictors[j])];
                    if w.is_empty() {
                        continue;
                    }
                    let target = &mut out.off[index][j * rows + i..];
                    add_by_index(w, &first.columns[i], &second.columns[j], &pair.slot_of_row, rows * columns, target);
                }
            }
        }
        if let Some(inside) = inside {
            self.border_into(weights, inside, out);
        }
    }

    fn border_into(&self, weights: &RowWeights, inside: usize, out: &mut BlockMatrix) {
        let fixed = &self.fixed[inside];
        let p = fixed.p();
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

/// target[stride * index(row)] += w z_i z_j over the rows.
fn add_by_index(w: &[f64], zi: &Column, zj: &Column, index: &[u32], stride: usize, target: &mut [f64]) {
    match (zi, zj) {
        (Column::One, Column::One) => {
            for (w, &slot) in w.iter().zip(index) {
                target[slot as usize * stride] += w;
            }
        }
        (Column::One, Column::Values(z)) | (Column::Values(z), Column::One) => {
            for ((w, z), &slot) in w.iter().zip(z).zip(index) {
                target[slot as usize * stride] += w * z;
            }
        }
        (Column::Values(a), Column::Values(b)) => {
            for (((w, a), b), &slot) in w.iter().zip(a).zip(b).zip(index) {
                target[slot as usize * stride] += w * a * b;
            }
        }
    }
}
