//! The blocks of M^{-1} on the pattern of M.
//!
//! With Z the inverse of the Schur complement of the remaining effects and G_l = D_l^{-1} A_l,
//!
//! ```text
//! (l, rest) = - G_l Z ,   (l, l) = D_l^{-1} + G_l Z G_l' ,
//! ```
//!
//! for which only entries of Z between columns that share a level are needed. The border adds a term of rank P:
//! with K = M_uu^{-1} C and S = L_S L_S' its Schur complement,
//!
//! ```text
//! M^{-1} = [ M_uu^{-1} + Y Y'   - Y L_S^{-1} ]      Y = K L_S^{-T} .
//!          [ .                  S^{-1}       ]
//! ```
use super::factorization::dot;
use super::leading::Leading;
use super::remainder::{Remainder, RemainderInverse, Storage};
use super::sparse_cholesky::SparseCholesky;
use super::{BlockMatrix, Factorization, PARALLEL_WORK, dense_cholesky, small_cholesky};
use rayon::prelude::*;

impl Factorization {
    /// Writes the blocks of M^{-1} on the pattern (widths r): diagonal, off-diagonal, border rows and corner of the
    /// inverse of the whole bordered matrix.
    pub fn selected_inverse_into(&self, out: &mut BlockMatrix) {
        self.selected_inverse_random_into(out);
        let p = self.pattern.border();
        if p == 0 {
            return;
        }
        let y = self.border_rows();
        self.add_outer_products(&y, out);
        self.subtract_outer_products(&y, out);
        for f in 0..self.pattern.n_factors() {
            let r = self.ranks[f];
            let mut row = vec![0.0; p];
            for level in 0..self.pattern.levels(f) {
                for a in 0..r {
                    let at = (self.offsets[f] + level * r + a) * p;
                    row.copy_from_slice(&y[at..at + p]);
                    dense_cholesky::backward_in_place(&self.corner, p, &mut row, 1, p);
                    for c in 0..p {
                        out.border[f][(level * p + c) * r + a] = -row[c];
                    }
                }
            }
        }
        out.corner.copy_from_slice(&dense_cholesky::inverse(&self.corner, p));
    }

    /// Writes the blocks of the inverse of the random part alone, Lambda' B Lambda + I; border and corner become zero.
    pub fn selected_inverse_random_into(&self, out: &mut BlockMatrix) {
        out.border.iter_mut().for_each(|border| border.fill(0.0));
        out.corner.fill(0.0);
        let Some(leading) = &self.leading else { return };
        out.marginal.iter_mut().for_each(Vec::clear);
        let r = leading.rank;
        if leading.levels == 0 {
            let inverse = self.remainder.inverse(&mut out.marginal);
            self.remainder.write_inverse(&self.pattern, &inverse, out);
            return;
        }
        let mut diagonal = std::mem::take(&mut out.diag[leading.factor]);
        let blocks = diagonal.par_chunks_exact_mut((r * r).max(1)).zip(leading.blocks.par_chunks_exact((r * r).max(1)));
        blocks.with_min_len(4096).for_each(|(out, block)| small_cholesky::inverse_into(block, out, r));
        if self.remainder.order() > 0 {
            let inverse = self.remainder.inverse(&mut out.marginal);
            self.remainder.write_inverse(&self.pattern, &inverse, out);
            let solved = leading.solved_coupling();
            if let (true, RemainderInverse::Dense(values)) = (leading.is_dense(), &inverse) {
                let order = self.remainder.order();
                let product = leading.times_dense_inverse(&solved, values, order, &mut diagonal);
                leading.write_negated(&product, out);
                out.diag[leading.factor] = diagonal;
                return;
            }
            let product = times_inverse(leading, &self.remainder, &solved, &inverse);
            for level in 0..leading.levels {
                let block = &mut diagonal[level * r * r..(level + 1) * r * r];
                for e in leading.ptr[level]..leading.ptr[level + 1] {
                    for b in 0..r {
                        for a in 0..r {
                            block[b * r + a] += product[e * r + a] * solved[e * r + b];
                        }
                    }
                }
            }
            leading.write_negated(&product, out);
        }
        out.diag[leading.factor] = diagonal;
    }

    /// Y, one row of P values for each effect in the caller's order.
    pub(super) fn border_rows(&self) -> Vec<f64> {
        let (q, p) = (self.n_random(), self.pattern.border());
        let mut k = self.border.clone();
        self.backward(&mut k, p);
        let mut y = vec![0.0; q * p];
        for f in 0..self.pattern.n_factors() {
            let r = self.ranks[f];
            for level in 0..self.pattern.levels(f) {
                for a in 0..r {
                    let (inside, at) = (self.internal_place(f, level, a), self.offsets[f] + level * r + a);
                    let row = &mut y[at * p..(at + 1) * p];
                    for c in 0..p {
                        row[c] = k[c * q + inside];
                    }
                    // A row y' = k' L_S^{-T} is L_S^{-1} k.
                    dense_cholesky::forward_in_place(&self.corner, p, row, 1, p);
                }
            }
        }
        y
    }

    /// Subtracts R^{-1} Y Y' R^{-1} from the marginal precision of correlated effects.
    fn subtract_outer_products(&self, y: &[f64], out: &mut BlockMatrix) {
        let p = self.pattern.border();
        let mut at = vec![0; out.marginal.len()];
        for root in self.remainder.roots() {
            let (s, level) = (root.size, root.first - self.remainder.place(root.factor, 0, 0));
            let mut rows = vec![0.0; s * p];
            for i in 0..s {
                let from = (self.offsets[root.factor] + level + i) * p;
                (0..p).for_each(|c| rows[c * s + i] = y[from + c]);
            }
            dense_cholesky::forward_in_place(root.lower_values(), s, &mut rows, p, s);
            dense_cholesky::backward_in_place(root.lower_values(), s, &mut rows, p, s);
            let block = &mut out.marginal[root.factor][at[root.factor]..][..s * s];
            for column in rows.chunks_exact(s) {
                for (target, &value) in block.chunks_exact_mut(s).zip(column) {
                    target.iter_mut().zip(column).for_each(|(target, other)| *target -= value * other);
                }
            }
            at[root.factor] += s * s;
        }
    }

    /// Adds Y Y' to the diagonal and off-diagonal blocks.
    fn add_outer_products(&self, y: &[f64], out: &mut BlockMatrix) {
        let p = self.pattern.border();
        for f in 0..self.pattern.n_factors() {
            let (r, offset) = (self.ranks[f], self.offsets[f]);
            let run = |(level, block): (usize, &mut [f64])| {
                let rows = &y[(offset + level * r) * p..];
                add_block(block, rows, r, rows, r, p);
            };
            if out.diag[f].len() * p < PARALLEL_WORK {
                out.diag[f].chunks_exact_mut((r * r).max(1)).enumerate().for_each(run);
            } else {
                out.diag[f].par_chunks_exact_mut(r * r).with_min_len(1024).enumerate().for_each(run);
            }
        }
        for (pair, off) in self.pattern.pairs().iter().zip(&mut out.off) {
            let (r_first, r_second) = (self.ranks[pair.first], self.ranks[pair.second]);
            for level in 0..self.pattern.levels(pair.first) {
                let rows = &y[(self.offsets[pair.first] + level * r_first) * p..];
                for slot in pair.ptr[level]..pair.ptr[level + 1] {
                    let other = self.offsets[pair.second] + pair.second_level[slot] as usize * r_second;
                    let block = &mut off[slot * r_first * r_second..(slot + 1) * r_first * r_second];
                    add_block(block, rows, r_first, &y[other * p..], r_second, p);
                }
            }
        }
    }
}

/// block += rows_a rows_b' for m and n rows of length p.
#[inline]
fn add_block(block: &mut [f64], a: &[f64], m: usize, b: &[f64], n: usize, p: usize) {
    for j in 0..n {
        for i in 0..m {
            block[j * m + i] += dot(&a[i * p..(i + 1) * p], &b[j * p..(j + 1) * p]);
        }
    }
}

/// (D^{-1} A) Z on the entries of the leading factor, given `solved` = D^{-1} A, r values for each entry.
fn times_inverse(leading: &Leading, remainder: &Remainder, solved: &[f64], inverse: &RemainderInverse) -> Vec<f64> {
    match (inverse, &remainder.storage) {
        (RemainderInverse::Dense(values), _) => times_dense(leading, solved, values, remainder.order()),
        (RemainderInverse::Sparse(values), Storage::Sparse { matrix, .. }) => {
            times_sparse(leading, solved, matrix, values)
        }
        _ => unreachable!("the inverse is stored like the factor, and fields have no leading factor"),
    }
}

/// Column by column of the inverse: all its entries that any level needs are then read while it is in the cache.
fn times_dense(leading: &Leading, solved: &[f64], inverse: &[f64], m: usize) -> Vec<f64> {
    let r = leading.rank;
    let run = |j: usize, out: &mut [f64]| {
        let column = &inverse[j * m..(j + 1) * m];
        for (&(level, _), out) in leading.entries_of(j).iter().zip(out.chunks_exact_mut(r)) {
            let entries = leading.ptr[level as usize]..leading.ptr[level as usize + 1];
            let columns = &leading.columns[entries.clone()];
            if r == 1 {
                out[0] = columns.iter().zip(&solved[entries]).map(|(&k, solved)| column[k as usize] * solved).sum();
            } else {
                for (&k, solved) in columns.iter().zip(solved[entries.start * r..].chunks_exact(r)) {
                    out.iter_mut().zip(solved).for_each(|(out, solved)| *out += column[k as usize] * solved);
                }
            }
        }
    };
    // In the order of the columns first, so that every column owns a stretch of the result.
    let mut by_column = vec![0.0; solved.len()];
    let mut rest = &mut by_column[..];
    let mut stretches = Vec::with_capacity(m);
    for j in 0..m {
        let (mine, others) = rest.split_at_mut(leading.entries_of(j).len() * r);
        stretches.push((j, mine));
        rest = others;
    }
    if leading.work() < PARALLEL_WORK {
        stretches.into_iter().for_each(|(j, out)| run(j, out));
    } else {
        stretches.into_par_iter().for_each(|(j, out)| run(j, out));
    }
    let mut out = vec![0.0; solved.len()];
    let entries = (0..m).flat_map(|j| leading.entries_of(j));
    for (&(_, e), value) in entries.zip(by_column.chunks_exact(r)) {
        out[e * r..(e + 1) * r].copy_from_slice(value);
    }
    out
}

/// Column by column of the sparse inverse: every pair of columns that share a level lies in the factor's pattern.
fn times_sparse(leading: &Leading, solved: &[f64], matrix: &SparseCholesky, inverse: &[f64]) -> Vec<f64> {
    let r = leading.rank;
    let mut out = vec![0.0; solved.len()];
    let mut column = vec![0.0; leading.columns.iter().map(|&c| c as usize + 1).max().unwrap_or(0)];
    for j in 0..column.len() {
        let (rows, range) = matrix.factor_column(j);
        for (&i, &z) in rows.iter().zip(&inverse[range]) {
            if i < column.len() {
                column[i] = z;
            }
        }
        for &(level, e) in leading.entries_of(j) {
            for k in e..leading.ptr[level as usize + 1] {
                let z = column[leading.columns[k] as usize];
                for a in 0..r {
                    out[e * r + a] += solved[k * r + a] * z;
                }
                if k > e {
                    for a in 0..r {
                        out[k * r + a] += solved[e * r + a] * z;
                    }
                }
            }
        }
    }
    out
}
