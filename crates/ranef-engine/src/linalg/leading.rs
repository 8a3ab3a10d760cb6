//! The grouping factor that is eliminated first: block-diagonal, so each level is a tiny problem of its own.
//!
//! With D_l the block of level l and A_l its coupling to the columns of the remaining factors,
//!
//! ```text
//! D_l = L_l L_l' ,   T_l = L_l^{-1} A_l ,   Schur complement of the rest:  S - sum_l T_l' T_l .
//! ```
//!
//! Inside this module the remaining effects are plain numbered columns, sorted within a level; entry e of a level is
//! one column, with r values of T.
use super::factorization::dot;
use super::{BlockMatrix, PARALLEL_WORK, Pattern, small_cholesky};
use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use rayon::prelude::*;

/// Where the r values of one entry stand in the off-diagonal blocks of a [`BlockMatrix`].
#[derive(Clone, Copy, Debug)]
struct Source {
    pair: usize,
    start: usize,
    stride: usize,
}

/// The first factor: its couplings, and after [`Leading::factor`] its blocks and T.
#[derive(Clone, Debug)]
pub struct Leading {
    pub factor: usize,
    pub rank: usize,
    pub levels: usize,
    /// Entries `ptr[l]..ptr[l + 1]` belong to level l.
    pub ptr: Vec<usize>,
    /// The column of each entry, ascending within a level.
    pub columns: Vec<u32>,
    source: Vec<Source>,
    column_ptr: Vec<usize>,
    /// For each column its entries, as (level, entry).
    by_column: Vec<(u32, usize)>,
    /// L_l, r x r for each level.
    pub blocks: Vec<f64>,
    /// T_l, r values for each entry.
    pub coupling: Vec<f64>,
    panel: Option<Panel>,
    /// The prior precision of each effect: 1, or 0 where they are free.
    pub precision: f64,
}

/// All T_l' side by side, zeros included: m rows, one column for each leading effect. Worth its zeros where most levels
/// meet most columns, because matrix products then do the work.
#[derive(Clone, Debug)]
struct Panel {
    rows: usize,
    values: Vec<f64>,
}

/// Columns of one task in products with a panel: fixed, so that results do not depend on the number of threads.
const PANEL_COLUMNS: usize = 96;

impl Leading {
    /// Where every factor's levels depend on each other: a factor without levels.
    pub fn none() -> Self {
        Self {
            factor: usize::MAX,
            rank: 1,
            levels: 0,
            ptr: vec![0],
            columns: Vec::new(),
            source: Vec::new(),
            column_ptr: Vec::new(),
            by_column: Vec::new(),
            blocks: Vec::new(),
            coupling: Vec::new(),
            panel: None,
            precision: 1.0,
        }
    }

    /// The couplings of `factor`; `column_of(f, level, component)` numbers the remaining effects.
    pub fn new(
        pattern: &Pattern,
        ranks: &[usize],
        factor: usize,
        column_of: impl Fn(usize, usize, usize) -> u32,
    ) -> Self {
        let (levels, rank) = (pattern.levels(factor), ranks[factor]);
        let mut ptr = vec![0; levels + 1];
        let visit = |mut entry: Box<dyn FnMut(usize, u32, Source) + '_>| {
            for (k, pair) in pattern.pairs().iter().enumerate() {
                let (r_first, r_second) = (ranks[pair.first], ranks[pair.second]);
                for level in 0..pattern.levels(pair.first) {
                    for slot in pair.ptr[level]..pair.ptr[level + 1] {
                        let (base, other) = (slot * r_first * r_second, pair.second_level[slot] as usize);
                        if pair.first == factor {
                            for c in 0..r_second {
                                let source = Source { pair: k, start: base + c * r_first, stride: 1 };
                                entry(level, column_of(pair.second, other, c), source);
                            }
                        } else if pair.second == factor {
                            for c in 0..r_first {
                                let source = Source { pair: k, start: base + c, stride: r_first };
                                entry(other, column_of(pair.first, level, c), source);
                            }
                        }
                    }
                }
            }
        };
        visit(Box::new(|level, _, _| ptr[level + 1] += 1));
        for level in 0..levels {
            ptr[level + 1] += ptr[level];
        }
        let mut next = ptr.clone();
        let n_entries = ptr[levels];
        let mut columns = vec![0; n_entries];
        let mut source = vec![Source { pair: 0, start: 0, stride: 0 }; n_entries];
        visit(Box::new(|level, column, from| {
            columns[next[level]] = column;
            source[next[level]] = from;
            next[level] += 1;
        }));
        Self {
            factor,
            rank,
            levels,
            ptr,
            columns,
            source,
            column_ptr: Vec::new(),
            by_column: Vec::new(),
            blocks: vec![0.0; levels * rank * rank],
            coupling: vec![0.0; n_entries * rank],
            panel: None,
            precision: 1.0,
        }
    }

    /// Stores the coupling to the `rows` remaining columns as one dense panel too.
    pub fn make_dense(&mut self, rows: usize) {
        self.panel = Some(Panel { rows, values: vec![0.0; rows * self.levels * self.rank] });
    }

    /// Whether the coupling is one dense panel.
    pub fn is_dense(&self) -> bool {
        self.panel.is_some()
    }

    /// Renumbers column c as `position[c]`, sorts each level, and indexes the entries by column.
    pub fn renumber(&mut self, position: &[u32]) {
        let mut row: Vec<(u32, Source)> = Vec::new();
        for level in 0..self.levels {
            let range = self.ptr[level]..self.ptr[level + 1];
            row.clear();
            row.extend(range.clone().map(|e| (position[self.columns[e] as usize], self.source[e])));
            row.sort_unstable_by_key(|entry| entry.0);
            for (e, &(column, source)) in range.zip(&row) {
                self.columns[e] = column;
                self.source[e] = source;
            }
        }
        let mut ptr = vec![0; position.len() + 1];
        for &column in &self.columns {
            ptr[column as usize + 1] += 1;
        }
        for column in 0..position.len() {
            ptr[column + 1] += ptr[column];
        }
        let mut next = ptr.clone();
        self.by_column = vec![(0, 0); self.columns.len()];
        for level in 0..self.levels {
            for e in self.ptr[level]..self.ptr[level + 1] {
                let place = &mut next[self.columns[e] as usize];
                self.by_column[*place] = (level as u32, e);
                *place += 1;
            }
        }
        self.column_ptr = ptr;
    }

    /// The (level, entry) of each entry in a column.
    pub fn entries_of(&self, column: usize) -> &[(u32, usize)] {
        &self.by_column[self.column_ptr[column]..self.column_ptr[column + 1]]
    }

    /// Multiply-adds of one product T_l' T_l over all levels.
    pub fn work(&self) -> usize {
        self.ptr.windows(2).map(|p| (p[1] - p[0]) * (p[1] - p[0])).sum::<usize>() * self.rank / 2
    }

    /// Factors D_l + I and computes T_l for every level. On failure the first level whose block is not positive
    /// definite.
    pub fn factor(&mut self, h: &BlockMatrix) -> Result<(), usize> {
        const LEVELS: usize = 2048;
        if self.levels == 0 {
            return Ok(());
        }
        let (r, ptr, source) = (self.rank, &self.ptr, &self.source);
        let diag = &h.diag[self.factor];
        let run = |first: usize, blocks: &mut [f64], coupling: &mut [f64]| -> Result<(), usize> {
            for (k, block) in blocks.chunks_exact_mut(r * r).enumerate() {
                let level = first + k;
                block.copy_from_slice(&diag[level * r * r..][..r * r]);
                for a in 0..r {
                    block[a * r + a] += self.precision;
                }
                small_cholesky::factor_in_place(block, r).map_err(|_| level)?;
                let values = &mut coupling[(ptr[level] - ptr[first]) * r..(ptr[level + 1] - ptr[first]) * r];
                for (value, from) in values.chunks_exact_mut(r).zip(&source[ptr[level]..ptr[level + 1]]) {
                    let off = &h.off[from.pair];
                    for a in 0..r {
                        value[a] = off[from.start + a * from.stride];
                    }
                    small_cholesky::forward_in_place(block, value, r);
                }
            }
            Ok(())
        };
        if r == 0 {
            return Ok(());
        }
        if (self.levels * r + ptr[self.levels]) * r * r < PARALLEL_WORK {
            run(0, &mut self.blocks, &mut self.coupling)?;
            self.fill_panel();
            return Ok(());
        }
        let mut chunks = Vec::new();
        let mut rest = &mut self.coupling[..];
        for (k, blocks) in self.blocks.chunks_mut(LEVELS * r * r).enumerate() {
            let first = k * LEVELS;
            let last = (first + LEVELS).min(self.levels);
            let (mine, others) = rest.split_at_mut((ptr[last] - ptr[first]) * r);
            chunks.push((first, blocks, mine));
            rest = others;
        }
        let results: Vec<_> = chunks.into_par_iter().map(|(first, blocks, t)| run(first, blocks, t)).collect();
        results.into_iter().collect::<Result<(), usize>>()?;
        self.fill_panel();
        Ok(())
    }

    fn fill_panel(&mut self) {
        let Some(mut panel) = self.panel.take() else { return };
        let m = panel.rows;
        panel.values.par_chunks_mut((m * self.rank).max(1)).with_min_len(16).enumerate().for_each(
            |(level, columns)| {
                self.spread(&self.coupling, level, m, columns);
            },
        );
        self.panel = Some(panel);
    }

    /// Writes the entries of a level, r `values` each, to r dense columns of length m.
    fn spread(&self, values: &[f64], level: usize, m: usize, columns: &mut [f64]) {
        let r = self.rank;
        for e in self.ptr[level]..self.ptr[level + 1] {
            let row = self.columns[e] as usize;
            for a in 0..r {
                columns[a * m + row] = values[e * r + a];
            }
        }
    }

    /// matrix -= sum_l T_l' T_l, lower triangle, for a dense coupling; the strict upper triangle is left undefined.
    pub fn subtract_gram(&self, matrix: &mut [f64]) {
        let Some(panel) = &self.panel else { return };
        let m = panel.rows;
        let t = MatRef::from_column_major_slice(&panel.values, m, self.levels * self.rank);
        let run = |(k, columns): (usize, &mut [f64])| {
            let (first, width) = (k * PANEL_COLUMNS, columns.len() / m);
            let target = MatMut::from_column_major_slice_mut(columns, m, width).subrows_mut(first, m - first);
            let other = t.subrows(first, width).transpose();
            matmul(target, Accum::Add, t.subrows(first, m - first), other, -1.0, Par::Seq);
        };
        if self.work() < PARALLEL_WORK {
            matrix.chunks_mut(PANEL_COLUMNS * m).enumerate().for_each(run);
        } else {
            matrix.par_chunks_mut(PANEL_COLUMNS * m).enumerate().for_each(run);
        }
    }

    /// For a dense coupling and the inverse Z of the Schur complement: adds G_l Z G_l' to each r x r block of
    /// `diagonal`, and returns G Z on the entries; `solved` is G = D^{-1} A on the entries.
    pub fn times_dense_inverse(&self, solved: &[f64], inverse: &[f64], m: usize, diagonal: &mut [f64]) -> Vec<f64> {
        let r = self.rank;
        let together = (PANEL_COLUMNS / r).max(1);
        let mut product = vec![0.0; solved.len()];
        let mut tasks = Vec::with_capacity(self.levels / together + 1);
        let mut rest = &mut product[..];
        for (k, blocks) in diagonal.chunks_mut(together * r * r).enumerate() {
            let (first, last) = (k * together, (k * together + together).min(self.levels));
            let (mine, others) = rest.split_at_mut((self.ptr[last] - self.ptr[first]) * r);
            tasks.push((first..last, blocks, mine));
            rest = others;
        }
        let inverse = MatRef::from_column_major_slice(inverse, m, m);
        let run = |(levels, blocks, out): (std::ops::Range<usize>, &mut [f64], &mut [f64])| {
            let (first, columns) = (levels.start, levels.len() * r);
            let (mut g, mut gz) = (vec![0.0; m * columns], vec![0.0; m * columns]);
            for level in levels.clone() {
                self.spread(solved, level, m, &mut g[(level - first) * r * m..]);
            }
            let target = MatMut::from_column_major_slice_mut(&mut gz, m, columns);
            let g_view = MatRef::from_column_major_slice(&g, m, columns);
            matmul(target, Accum::Replace, inverse, g_view, 1.0, Par::Seq);
            for level in levels {
                let at = (level - first) * r;
                let block = &mut blocks[at * r..(at + r) * r];
                for b in 0..r {
                    for a in 0..r {
                        block[b * r + a] +=
                            dot(&gz[(at + a) * m..(at + a + 1) * m], &g[(at + b) * m..(at + b + 1) * m]);
                    }
                }
                for e in self.ptr[level]..self.ptr[level + 1] {
                    let (row, place) = (self.columns[e] as usize, (e - self.ptr[first]) * r);
                    for a in 0..r {
                        out[place + a] = gz[(at + a) * m + row];
                    }
                }
            }
        };
        if self.work() < PARALLEL_WORK {
            tasks.into_iter().for_each(run);
        } else {
            tasks.into_par_iter().for_each(run);
        }
        product
    }

    /// w_i -= sum_l (T_l' T_l)_ij for the rows i of column j on or below the diagonal (or, if not `below`, on or above).
    pub fn subtract_column(&self, j: usize, below: bool, w: &mut [f64]) {
        let r = self.rank;
        for &(level, e) in self.entries_of(j) {
            let level = level as usize;
            let range = if below { e..self.ptr[level + 1] } else { self.ptr[level]..e + 1 };
            if r == 1 {
                let scale = self.coupling[e];
                for (column, value) in self.columns[range.clone()].iter().zip(&self.coupling[range]) {
                    w[*column as usize] -= scale * value;
                }
            } else {
                let mine = &self.coupling[e * r..(e + 1) * r];
                let values = self.coupling[range.start * r..range.end * r].chunks_exact(r);
                for (column, value) in self.columns[range].iter().zip(values) {
                    w[*column as usize] -= mine.iter().zip(value).map(|(a, b)| a * b).sum::<f64>();
                }
            }
        }
    }

    /// x_l = L_l^{-1} x_l, then rest -= T' x, for columns of `stride` values: the leading effects, then the rest.
    ///
    /// All columns move through the levels together, so that T is read once.
    pub fn forward(&self, x: &mut [f64], stride: usize) {
        let (r, first) = (self.rank, self.levels * self.rank);
        if let Some(panel) = &self.panel {
            for x in x.chunks_exact_mut(stride) {
                for (x, block) in x.chunks_exact_mut(r).zip(self.blocks.chunks_exact(r * r)) {
                    small_cholesky::forward_in_place(block, x, r);
                }
            }
            let columns = x.len() / stride;
            let x = MatMut::from_column_major_slice_with_stride_mut(x, stride, columns, stride);
            let (head, rest) = x.split_at_row_mut(first);
            let t = MatRef::from_column_major_slice(&panel.values, panel.rows, first);
            matmul(rest, Accum::Add, t, head.as_ref(), -1.0, Par::Seq);
            return;
        }
        for level in 0..self.levels {
            let block = &self.blocks[level * r * r..(level + 1) * r * r];
            let entries = self.ptr[level]..self.ptr[level + 1];
            for x in x.chunks_exact_mut(stride) {
                let (head, rest) = x.split_at_mut(first);
                let x = &mut head[level * r..(level + 1) * r];
                small_cholesky::forward_in_place(block, x, r);
                let values = self.coupling[entries.start * r..entries.end * r].chunks_exact(r);
                for (&column, value) in self.columns[entries.clone()].iter().zip(values) {
                    rest[column as usize] -= value.iter().zip(&*x).map(|(t, x)| t * x).sum::<f64>();
                }
            }
        }
    }

    /// x_l = L_l^{-T} (x_l - T_l rest), laid out as in [`Leading::forward`].
    pub fn backward(&self, x: &mut [f64], stride: usize) {
        let (r, first) = (self.rank, self.levels * self.rank);
        if let Some(panel) = &self.panel {
            let columns = x.len() / stride;
            let view = MatMut::from_column_major_slice_with_stride_mut(x, stride, columns, stride);
            let (head, rest) = view.split_at_row_mut(first);
            let t = MatRef::from_column_major_slice(&panel.values, panel.rows, first);
            matmul(head, Accum::Add, t.transpose(), rest.as_ref(), -1.0, Par::Seq);
            for x in x.chunks_exact_mut(stride) {
                for (x, block) in x.chunks_exact_mut(r).zip(self.blocks.chunks_exact(r * r)) {
                    small_cholesky::backward_in_place(block, x, r);
                }
            }
            return;
        }
        for level in 0..self.levels {
            let block = &self.blocks[level * r * r..(level + 1) * r * r];
            let entries = self.ptr[level]..self.ptr[level + 1];
            for x in x.chunks_exact_mut(stride) {
                let (head, rest) = x.split_at_mut(first);
                let x = &mut head[level * r..(level + 1) * r];
                let values = self.coupling[entries.start * r..entries.end * r].chunks_exact(r);
                for (&column, value) in self.columns[entries.clone()].iter().zip(values) {
                    let scale = rest[column as usize];
                    x.iter_mut().zip(value).for_each(|(x, t)| *x -= t * scale);
                }
                small_cholesky::backward_in_place(block, x, r);
            }
        }
    }

    /// D_l^{-1} A_l = L_l^{-T} T_l, r values for each entry.
    pub fn solved_coupling(&self) -> Vec<f64> {
        let r = self.rank;
        let mut solved = self.coupling.clone();
        for level in 0..self.levels {
            for e in self.ptr[level]..self.ptr[level + 1] {
                small_cholesky::backward_in_place(&self.blocks[level * r * r..], &mut solved[e * r..], r);
            }
        }
        solved
    }

    /// Writes minus `values` (r for each entry) to the off-diagonal blocks they belong to.
    pub fn write_negated(&self, values: &[f64], out: &mut BlockMatrix) {
        for (value, to) in values.chunks_exact(self.rank.max(1)).zip(&self.source) {
            let off = &mut out.off[to.pair];
            for (a, value) in value.iter().enumerate() {
                off[to.start + a * to.stride] = -value;
            }
        }
    }

    /// 2 sum_l log |L_l|.
    pub fn log_det(&self) -> f64 {
        let r = self.rank;
        let pivots = self.blocks.chunks_exact((r * r).max(1)).flat_map(|block| block.iter().step_by(r + 1));
        2.0 * pivots.map(|pivot| pivot.ln()).sum::<f64>()
    }
}
