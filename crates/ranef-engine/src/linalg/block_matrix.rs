//! Values on a [`Pattern`]: a symmetric block-sparse matrix with a dense border.
use super::{Pair, Pattern};

/// A symmetric matrix on a [`Pattern`], with `widths[f]` columns for each level of factor f.
///
/// Blocks are column-major. Diagonal blocks and the corner are stored full, both triangles.
#[derive(Clone, Debug)]
pub struct BlockMatrix {
    /// Number of columns for each level of each factor.
    pub widths: Vec<usize>,
    /// For each factor: level after level, a w_f x w_f block.
    pub diag: Vec<Vec<f64>>,
    /// For each pair of the pattern: slot after slot, a w_first x w_second block.
    pub off: Vec<Vec<f64>>,
    /// For each factor: level after level, a w_f x P block.
    pub border: Vec<Vec<f64>>,
    /// P x P.
    pub corner: Vec<f64>,
    /// Of an inverse, for each factor whose levels have correlation R: the marginal precision K = R^{-1} - R^{-1} M^{-1} R^{-1},
    /// block after block. Empty otherwise.
    pub marginal: Vec<Vec<f64>>,
}

impl BlockMatrix {
    /// All zero.
    pub fn zeros(pattern: &Pattern, widths: &[usize]) -> Self {
        let (factors, p) = (0..pattern.n_factors(), pattern.border());
        Self {
            widths: widths.to_vec(),
            diag: factors.clone().map(|f| vec![0.0; pattern.levels(f) * widths[f] * widths[f]]).collect(),
            off: pattern
                .pairs()
                .iter()
                .map(|pair| vec![0.0; pair.n_slots() * widths[pair.first] * widths[pair.second]])
                .collect(),
            border: factors.map(|f| vec![0.0; pattern.levels(f) * widths[f] * p]).collect(),
            corner: vec![0.0; p * p],
            marginal: vec![Vec::new(); pattern.n_factors()],
        }
    }

    /// Sets every entry to zero.
    pub fn clear(&mut self) {
        for values in self.diag.iter_mut().chain(&mut self.off).chain(&mut self.border) {
            values.fill(0.0);
        }
        self.corner.fill(0.0);
    }

    /// Number of values stored.
    pub fn n_values(&self) -> usize {
        let blocks = self.diag.iter().chain(&self.off).chain(&self.border);
        blocks.map(Vec::len).sum::<usize>() + self.corner.len()
    }

    /// y += M x, for vectors over all effects and the border.
    pub fn multiply(&self, pattern: &Pattern, x: &[f64], y: &mut [f64]) {
        let offsets = pattern.offsets(&self.widths);
        let p = pattern.border();
        let (x_border, corner_at) = (&x[offsets[pattern.n_factors()]..], offsets[pattern.n_factors()]);
        for f in 0..pattern.n_factors() {
            let (diag, border) = (&self.diag[f], &self.border[f]);
            let range = offsets[f]..offsets[f + 1];
            let (head, y_border) = y.split_at_mut(corner_at);
            let (x, y) = (&x[range.clone()], &mut head[range]);
            match self.widths[f] {
                1 => add_levels(diag, border, 1, p, x, x_border, y, y_border),
                2 => add_levels(diag, border, 2, p, x, x_border, y, y_border),
                3 => add_levels(diag, border, 3, p, x, x_border, y, y_border),
                4 => add_levels(diag, border, 4, p, x, x_border, y, y_border),
                w => add_levels(diag, border, w, p, x, x_border, y, y_border),
            }
        }
        for (pair, values) in pattern.pairs().iter().zip(&self.off) {
            let starts = (offsets[pair.first], offsets[pair.second]);
            match (self.widths[pair.first], self.widths[pair.second]) {
                (1, 1) => add_pair(pair, values, 1, 1, starts, x, y),
                (2, 2) => add_pair(pair, values, 2, 2, starts, x, y),
                (3, 3) => add_pair(pair, values, 3, 3, starts, x, y),
                (4, 4) => add_pair(pair, values, 4, 4, starts, x, y),
                (5, 5) => add_pair(pair, values, 5, 5, starts, x, y),
                (6, 6) => add_pair(pair, values, 6, 6, starts, x, y),
                (m, n) => add_pair(pair, values, m, n, starts, x, y),
            }
        }
        add_product(&self.corner, p, p, x_border, &mut y[corner_at..]);
    }
}

/// y += the diagonal blocks and the border of one factor times x. Inlined so that constant sizes unroll.
#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "two matrices and the two halves of two vectors")]
fn add_levels(
    diag: &[f64],
    border: &[f64],
    w: usize,
    p: usize,
    x: &[f64],
    x_border: &[f64],
    y: &mut [f64],
    y_border: &mut [f64],
) {
    let blocks = diag.chunks_exact(w * w).zip(x.chunks_exact(w));
    for (level, ((block, x), y)) in blocks.zip(y.chunks_exact_mut(w)).enumerate() {
        add_product(block, w, w, x, y);
        let block = &border[level * w * p..(level + 1) * w * p];
        add_product(block, w, p, x_border, y);
        add_transposed_product(block, w, p, x, y_border);
    }
}

/// y += A x and A' x for the m x n blocks A of a pair of factors. Inlined so that constant sizes unroll.
#[inline(always)]
fn add_pair(pair: &Pair, values: &[f64], m: usize, n: usize, starts: (usize, usize), x: &[f64], y: &mut [f64]) {
    for level in 0..pair.ptr.len() - 1 {
        let first = starts.0 + level * m;
        for slot in pair.ptr[level]..pair.ptr[level + 1] {
            let second = starts.1 + pair.second_level[slot] as usize * n;
            let block = &values[slot * m * n..(slot + 1) * m * n];
            add_product(block, m, n, &x[second..second + n], &mut y[first..first + m]);
            add_transposed_product(block, m, n, &x[first..first + m], &mut y[second..second + n]);
        }
    }
}

/// y += A x for an m x n block.
#[inline(always)]
fn add_product(a: &[f64], m: usize, n: usize, x: &[f64], y: &mut [f64]) {
    for j in 0..n {
        for i in 0..m {
            y[i] += a[j * m + i] * x[j];
        }
    }
}

/// y += A' x for an m x n block.
#[inline(always)]
fn add_transposed_product(a: &[f64], m: usize, n: usize, x: &[f64], y: &mut [f64]) {
    for j in 0..n {
        for i in 0..m {
            y[j] += a[j * m + i] * x[i];
        }
    }
}
