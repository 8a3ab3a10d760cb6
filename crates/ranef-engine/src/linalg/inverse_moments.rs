//! Second moments of the blocks of X = I - M_uu^{-1}, summed over *all* pairs of levels: what traces of products with the
//! whole inverse need, for matrices that are the same in every level.
//!
//! The inverse is block-diagonal plus low rank. With D_l the blocks of the leading factor, G = D^{-1} A its solved
//! coupling, L the Cholesky factor of the Schur complement of the remaining effects, and Y Y' the border's term,
//!
//! ```text
//! M^{-1}_uu = blkdiag(D^{-1}, 0) + F F' ,     F = [ -G L^{-T}  Y_1 ]
//!                                                 [    L^{-T}  Y_2 ]
//! ```
//!
//! so for effects a of level l of one factor and b of level k of another the moments are found in one of two ways:
//! from the blocks F_l F_k' themselves, by matrix products, or, where levels are many and effects per level few, from
//!
//! ```text
//! sum_lk (F_l F_k')_ab (F_l F_k')_cd = < sum_l F_la F_lc' , sum_k F_kb F_kd' > .
//! ```
use super::leading::Leading;
use super::remainder::Storage;
use super::{BlockMatrix, Factorization, dense_cholesky, small_cholesky};
use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use rayon::prelude::*;

/// How many times faster a multiply-add is in matrix products than in the loops over the entries of a sparse coupling.
const PRODUCT_ADVANTAGE: f64 = 15.0;

/// Columns of one task in triangular solutions: fixed, so that results do not depend on the number of threads.
const COLUMNS: usize = 64;

/// Orders of the Schur complement below this are not worth threads.
const PARALLEL_ORDER: usize = 64;

/// The rows of F are formed for all effects at once only up to this many values.
const MOST_VALUES: usize = 1 << 27;

/// Moments of the blocks of X between two factors.
pub struct Moments {
    /// The factor of the rows.
    pub first: usize,
    /// The factor of the columns, not before `first`.
    pub second: usize,
    /// sum over levels (l, k) of vec(X_lk) vec(X_lk)', of order r_first r_second.
    pub values: Vec<f64>,
}

impl Factorization {
    /// The moments of all pairs of factors, each unordered pair once; `with_border` for the random part of the inverse
    /// of the whole bordered matrix. `inverse` is the selected inverse of the same matrix.
    ///
    /// `None` where the Schur complement is sparse: its whole inverse is then out of reach.
    pub fn inverse_moments(&self, inverse: &BlockMatrix, with_border: bool) -> Option<Vec<Moments>> {
        let Some(leading) = &self.leading else { return Some(Vec::new()) };
        let Storage::Dense(l) = &self.remainder.storage else { return None };
        let (m, p) = (self.remainder.order(), if with_border { self.pattern.border() } else { 0 });
        let border = if p > 0 { self.border_rows() } else { Vec::new() };
        let root = Root { factorization: self, leading, l, m, p, border };
        let blocks = root.blocks_are_cheaper();
        if blocks && (m + p) * self.n_random() > MOST_VALUES {
            return None;
        }
        Some(if blocks { root.moments_of_blocks() } else { root.moments_of_outer_products(inverse) })
    }
}

/// What F is made of.
struct Root<'a> {
    factorization: &'a Factorization,
    leading: &'a Leading,
    l: &'a [f64],
    m: usize,
    p: usize,
    /// Y, p values for each effect in the caller's order.
    border: Vec<f64>,
}

impl Root<'_> {
    fn n_factors(&self) -> usize {
        self.factorization.pattern.n_factors()
    }

    fn shape(&self, f: usize) -> (usize, usize) {
        (self.factorization.pattern.levels(f), self.factorization.ranks[f])
    }

    fn blocks_are_cheaper(&self) -> bool {
        let (m, width, q) = (self.m as f64, (self.m + self.p) as f64, self.factorization.n_random() as f64);
        let pairs = |f: usize| (self.shape(f).1 * (self.shape(f).1 + 1) / 2) as f64;
        let blocks = width * q * q;
        let outer = (0..self.n_factors()).map(|f| {
            if f == self.leading.factor {
                pairs(f) * (m * m * m + PRODUCT_ADVANTAGE * 2.0 * self.leading.work() as f64)
            } else {
                pairs(f) * m * m * self.shape(f).0 as f64
            }
        });
        blocks < outer.sum()
    }

    /// The columns of F' that belong to a factor: m + p values for each effect, level after level.
    fn columns(&self, f: usize) -> Vec<f64> {
        let (m, width, (levels, r)) = (self.m, self.m + self.p, self.shape(f));
        let mut out = vec![0.0; width * levels * r];
        if f == self.leading.factor {
            let solved = self.leading.solved_coupling();
            for level in 0..levels {
                for e in self.leading.ptr[level]..self.leading.ptr[level + 1] {
                    for a in 0..r {
                        out[(level * r + a) * width + self.leading.columns[e] as usize] = -solved[e * r + a];
                    }
                }
            }
        } else {
            for level in 0..levels {
                for a in 0..r {
                    out[(level * r + a) * width + self.factorization.remainder.place(f, level, a)] = 1.0;
                }
            }
        }
        if m > 0 {
            out.par_chunks_mut(COLUMNS * width).for_each(|tile| {
                dense_cholesky::forward_in_place(self.l, m, tile, tile.len() / width, width);
            });
        }
        if self.p > 0 {
            let first = self.factorization.offsets[f];
            for (k, column) in out.chunks_exact_mut(width).enumerate() {
                column[m..].copy_from_slice(&self.border[(first + k) * self.p..(first + k + 1) * self.p]);
            }
        }
        out
    }

    /// I - D_l^{-1} for the leading factor, I for the others.
    fn diagonal_block_into(&self, f: usize, level: usize, out: &mut [f64]) {
        let r = self.shape(f).1;
        if f == self.leading.factor {
            small_cholesky::inverse_into(&self.leading.blocks[level * r * r..(level + 1) * r * r], out, r);
            out.iter_mut().for_each(|value| *value = -*value);
        } else {
            out.fill(0.0);
        }
        (0..r).for_each(|a| out[a * r + a] += 1.0);
    }

    /// From the blocks, a panel of columns at a time; in a panel the rows stand component by component, so that the
    /// blocks of one level are the columns of a matrix with one row for each level of the other factor.
    fn moments_of_blocks(&self) -> Vec<Moments> {
        /// Columns of a panel, about.
        const PANEL: usize = 96;
        let width = self.m + self.p;
        let columns: Vec<Vec<f64>> = (0..self.n_factors()).map(|f| self.columns(f)).collect();
        let mut found = Vec::new();
        for f in 0..self.n_factors() {
            let (levels_f, r_f) = self.shape(f);
            let mut by_component = vec![0.0; columns[f].len()];
            for level in 0..levels_f {
                for a in 0..r_f {
                    by_component[(a * levels_f + level) * width..][..width]
                        .copy_from_slice(&columns[f][(level * r_f + a) * width..][..width]);
                }
            }
            for g in f..self.n_factors() {
                let (levels_g, r_g) = self.shape(g);
                let (rows, size) = (levels_f * r_f, r_f * r_g);
                let per_panel = (PANEL / r_g.max(1)).max(1);
                let panels: Vec<usize> = (0..levels_g).step_by(per_panel).collect();
                let parts: Vec<Vec<f64>> = panels
                    .into_par_iter()
                    .map(|first| {
                        let levels = per_panel.min(levels_g - first);
                        let mut panel = vec![0.0; rows * levels * r_g];
                        matmul(
                            MatMut::from_column_major_slice_mut(&mut panel, rows, levels * r_g),
                            Accum::Replace,
                            MatRef::from_column_major_slice(&by_component, width, rows).transpose(),
                            MatRef::from_column_major_slice(
                                &columns[g][first * r_g * width..(first + levels) * r_g * width],
                                width,
                                levels * r_g,
                            ),
                            -1.0,
                            Par::Seq,
                        );
                        let mut sum = vec![0.0; size * size];
                        let mut block = vec![0.0; r_g * r_g];
                        for (k, values) in panel.chunks_exact_mut(rows * r_g).enumerate() {
                            if f == g {
                                self.diagonal_block_into(f, first + k, &mut block);
                                for b in 0..r_g {
                                    for a in 0..r_f {
                                        values[b * rows + a * levels_f + first + k] += block[b * r_f + a];
                                    }
                                }
                            }
                            let values = MatRef::from_column_major_slice(values, levels_f, size);
                            matmul(
                                MatMut::from_column_major_slice_mut(&mut sum, size, size),
                                Accum::Add,
                                values.transpose(),
                                values,
                                1.0,
                                Par::Seq,
                            );
                        }
                        sum
                    })
                    .collect();
                found.push(Moments { first: f, second: g, values: add_up(parts, size * size) });
            }
        }
        found
    }

    /// From the sums of outer products of each factor, corrected for the diagonal blocks.
    fn moments_of_outer_products(&self, inverse: &BlockMatrix) -> Vec<Moments> {
        let width = self.m + self.p;
        let products: Vec<Vec<Vec<f64>>> = (0..self.n_factors())
            .map(|f| if f == self.leading.factor { self.leading_products() } else { self.remaining_products(f) })
            .collect();
        // Component pairs (a, c) with a <= c are kept; the others are their transposes.
        let inner = |left: &[Vec<f64>], a: usize, c: usize, right: &[Vec<f64>], b: usize, d: usize| -> f64 {
            let (x, y) = (&left[pair(a, c)], &right[pair(b, d)]);
            if (a <= c) == (b <= d) || a == c || b == d {
                return x.iter().zip(y).map(|(x, y)| x * y).sum();
            }
            (0..width).map(|i| (0..width).map(|j| x[j * width + i] * y[i * width + j]).sum::<f64>()).sum()
        };
        let mut found = Vec::new();
        for f in 0..self.n_factors() {
            for g in f..self.n_factors() {
                let (r_f, r_g) = (self.shape(f).1, self.shape(g).1);
                let size = r_f * r_g;
                let mut values = if f == g { self.diagonal_correction(f, inverse) } else { vec![0.0; size * size] };
                for second in 0..size {
                    for first in 0..=second {
                        let ((a, b), (c, d)) = ((first % r_f, first / r_f), (second % r_f, second / r_f));
                        let value = inner(&products[f], a, c, &products[g], b, d);
                        values[second * size + first] += value;
                        if first != second {
                            values[first * size + second] += value;
                        }
                    }
                }
                found.push(Moments { first: f, second: g, values });
            }
        }
        found
    }

    /// sum over levels of vec(X_ll) vec(X_ll)' - vec(F_l F_l') vec(F_l F_l')'.
    fn diagonal_correction(&self, f: usize, inverse: &BlockMatrix) -> Vec<f64> {
        const LEVELS: usize = 4096;
        let (levels, r) = self.shape(f);
        let size = r * r;
        let starts: Vec<usize> = (0..levels).step_by(LEVELS).collect();
        let parts: Vec<Vec<f64>> = starts
            .into_par_iter()
            .map(|start| {
                let mut sum = vec![0.0; size * size];
                let (mut block, mut low) = (vec![0.0; size], vec![0.0; size]);
                for level in start..(start + LEVELS).min(levels) {
                    self.diagonal_block_into(f, level, &mut low);
                    for (k, (block, low)) in block.iter_mut().zip(&mut low).enumerate() {
                        let identity = f64::from(u8::from(k % r == k / r));
                        *block = identity - inverse.diag[f][level * size + k];
                        *low -= *block;
                    }
                    for j in 0..size {
                        for i in 0..size {
                            sum[j * size + i] += block[i] * block[j] - low[i] * low[j];
                        }
                    }
                }
                sum
            })
            .collect();
        add_up(parts, size * size)
    }

    /// sum_l F_la F_lc' for a <= c, of a remaining factor.
    fn remaining_products(&self, f: usize) -> Vec<Vec<f64>> {
        let (width, (levels, r)) = (self.m + self.p, self.shape(f));
        let columns = self.columns(f);
        let component = |a: usize| -> Vec<f64> {
            (0..levels).flat_map(|level| columns[(level * r + a) * width..][..width].iter().copied()).collect()
        };
        let components: Vec<Vec<f64>> = (0..r).map(component).collect();
        self.each_pair(r, |a, c| {
            let mut out = vec![0.0; width * width];
            let x = |a: usize| MatRef::from_column_major_slice(&components[a], width, levels);
            let panel = |(k, panel): (usize, &mut [f64])| {
                // With itself a component has a symmetric product: the rows above the panel are found by mirroring.
                let (first, columns) = (k * COLUMNS, panel.len() / width);
                let rows = if a == c { first } else { 0 };
                let target = MatMut::from_column_major_slice_mut(panel, width, columns).subrows_mut(rows, width - rows);
                let (left, right) = (x(a).subrows(rows, width - rows), x(c).subrows(first, columns));
                matmul(target, Accum::Replace, left, right.transpose(), 1.0, Par::Seq);
            };
            self.each_chunk(&mut out, COLUMNS * width, panel);
            if a == c {
                mirror_lower(&mut out, width);
            }
            out
        })
    }

    /// The same of the leading factor: outer products of the sparse G first, then L^{-1} on both sides.
    fn leading_products(&self) -> Vec<Vec<f64>> {
        let (m, p, width, r) = (self.m, self.p, self.m + self.p, self.leading.rank);
        let solved = self.leading.solved_coupling();
        let first = self.factorization.offsets[self.leading.factor];
        let y = |level: usize, a: usize| {
            let row = first + level * r + a;
            &self.border[row * p..(row + 1) * p]
        };
        self.each_pair(r, |a, c| {
            let mut inside = vec![0.0; m * m];
            let outer = |(j, column): (usize, &mut [f64])| {
                for &(level, e) in self.leading.entries_of(j) {
                    let scale = solved[e * r + c];
                    let first = if a == c { e } else { self.leading.ptr[level as usize] };
                    for k in first..self.leading.ptr[level as usize + 1] {
                        column[self.leading.columns[k] as usize] += scale * solved[k * r + a];
                    }
                }
            };
            self.each_chunk(&mut inside, m, outer);
            if a == c {
                mirror_lower(&mut inside, m);
            }
            let forward = |x: &mut [f64], columns: usize| {
                if m == 0 || columns <= COLUMNS {
                    dense_cholesky::forward_in_place(self.l, m, x, columns, m);
                } else {
                    x.par_chunks_mut(COLUMNS * m)
                        .for_each(|tile| dense_cholesky::forward_in_place(self.l, m, tile, tile.len() / m, m));
                }
            };
            forward(&mut inside, m);
            dense_cholesky::transpose_in_place(&mut inside, m);
            forward(&mut inside, m);
            dense_cholesky::transpose_in_place(&mut inside, m);
            let (mut above, mut left) = (vec![0.0; m * p], vec![0.0; m * p]);
            let mut corner = vec![0.0; p * p];
            if p > 0 {
                for level in 0..self.leading.levels {
                    let (y_a, y_c) = (y(level, a), y(level, c));
                    for e in self.leading.ptr[level]..self.leading.ptr[level + 1] {
                        let row = self.leading.columns[e] as usize;
                        for s in 0..p {
                            above[s * m + row] -= solved[e * r + a] * y_c[s];
                            left[s * m + row] -= solved[e * r + c] * y_a[s];
                        }
                    }
                    for t in 0..p {
                        for s in 0..p {
                            corner[t * p + s] += y_a[s] * y_c[t];
                        }
                    }
                }
                forward(&mut above, p);
                forward(&mut left, p);
            }
            let mut out = vec![0.0; width * width];
            for j in 0..m {
                out[j * width..j * width + m].copy_from_slice(&inside[j * m..(j + 1) * m]);
                for s in 0..p {
                    out[j * width + m + s] = left[s * m + j];
                }
            }
            for t in 0..p {
                let column = &mut out[(m + t) * width..(m + t + 1) * width];
                column[..m].copy_from_slice(&above[t * m..(t + 1) * m]);
                column[m..].copy_from_slice(&corner[t * p..(t + 1) * p]);
            }
            out
        })
    }

    /// Runs over the chunks of x, in parallel where that pays; each writes its own.
    fn each_chunk(&self, x: &mut [f64], size: usize, run: impl Fn((usize, &mut [f64])) + Send + Sync) {
        if self.m < PARALLEL_ORDER {
            x.chunks_mut(size.max(1)).enumerate().for_each(run);
        } else {
            x.par_chunks_mut(size).enumerate().for_each(run);
        }
    }

    fn each_pair(&self, r: usize, run: impl Fn(usize, usize) -> Vec<f64> + Sync) -> Vec<Vec<f64>> {
        let pairs: Vec<(usize, usize)> = (0..r).flat_map(|c| (0..=c).map(move |a| (a, c))).collect();
        if self.m < PARALLEL_ORDER {
            pairs.into_iter().map(|(a, c)| run(a, c)).collect()
        } else {
            pairs.into_par_iter().map(|(a, c)| run(a, c)).collect()
        }
    }
}

/// Where the unordered pair (a, c) stands.
fn pair(a: usize, c: usize) -> usize {
    let (low, high) = (a.min(c), a.max(c));
    high * (high + 1) / 2 + low
}

/// Copies what is below the diagonal to above it.
fn mirror_lower(x: &mut [f64], m: usize) {
    const TILE: usize = 32;
    for column in (0..m).step_by(TILE) {
        for row in (column..m).step_by(TILE) {
            for j in column..(column + TILE).min(m) {
                for i in row.max(j + 1)..(row + TILE).min(m) {
                    x[i * m + j] = x[j * m + i];
                }
            }
        }
    }
}

fn add_up(parts: Vec<Vec<f64>>, length: usize) -> Vec<f64> {
    parts.into_iter().fold(vec![0.0; length], |mut total, part| {
        total.iter_mut().zip(part).for_each(|(total, part)| *total += part);
        total
    })
}
