//! A basis of fixed-effects columns most of which belong to the levels of one factor.
//!
//! An indicator of a level, or a covariate times it, is zero outside the rows of its level. Columns of different levels
//! are therefore orthogonal as they are, and a factor of thousands of levels takes a code and a few numbers a row instead
//! of thousands. With C the columns of levels and D all others,
//!
//! ```text
//! [C D] = [B E] [ R_C  S   ]      B'B = n I,  E'E = n I,  B'E = 0
//!               [ 0    R_D ]
//! ```
//!
//! R_C has one small triangle for each level; E are the few columns that are dense: D within levels, made orthogonal.
use super::{add_up, by_chunk};
use crate::linalg::dot;
use rayon::prelude::*;
use std::ops::Range;
use std::sync::Arc;

/// The coordinate of a column that a level does not have.
const NONE: u32 = u32::MAX;

/// The rows of each level.
#[derive(Debug)]
pub(crate) struct Levels {
    /// The level of each row; `count` for a row that no column touches.
    pub codes: Vec<u32>,
    /// Number of levels.
    pub count: usize,
    /// Level l has the rows `order[starts[l]..starts[l + 1]]`, ascending.
    starts: Vec<usize>,
    order: Vec<u32>,
}

impl Levels {
    pub fn new(codes: Vec<u32>, count: usize) -> Self {
        let mut starts = vec![0; count + 2];
        codes.iter().for_each(|&code| starts[code as usize + 1] += 1);
        (0..=count).for_each(|l| starts[l + 1] += starts[l]);
        let (mut next, mut order) = (starts.clone(), vec![0; codes.len()]);
        for (row, &code) in codes.iter().enumerate() {
            order[next[code as usize]] = row as u32;
            next[code as usize] += 1;
        }
        Self { codes, count, starts, order }
    }

    /// The rows of a level.
    pub fn rows(&self, level: usize) -> &[u32] {
        &self.order[self.starts[level]..self.starts[level + 1]]
    }
}

/// A column that depends on others: the coefficients, times the columns' lengths, relative to its own.
#[derive(Debug)]
pub(crate) struct Dependence {
    /// The dense column.
    pub dense: usize,
    /// Of the columns of levels: (level, column), share.
    pub levels: Vec<((usize, usize), f64)>,
}

/// B, E and the triangles between them and the columns they were made of.
#[derive(Debug)]
pub(crate) struct LevelBasis {
    n: usize,
    width: usize,
    levels: Arc<Levels>,
    /// The columns of B of all levels at once: `width` columns of n values.
    columns: Vec<Vec<f64>>,
    /// The coordinate of column c of level l at `l * width + c`.
    place: Vec<u32>,
    /// Level and column of each coordinate of B.
    coordinates: Vec<(u32, u32)>,
    /// For each level an upper triangle, width x width column-major.
    r_levels: Vec<f64>,
    /// E, n x d column-major.
    dense: Arc<Vec<f64>>,
    d: usize,
    /// S, column-major.
    s: Vec<f64>,
    /// R_D, d x d column-major, upper.
    r_dense: Vec<f64>,
}

impl LevelBasis {
    /// From the columns of all levels at once (`columns`; a level has those that `has` says) and the dense columns. A
    /// column of a level that depends on the earlier ones of its level is left out; a dense column that depends on others
    /// is reported.
    ///
    /// # Errors
    /// The first dense column that is not independent, with what it depends on.
    pub fn new(
        levels: Arc<Levels>,
        mut columns: Vec<Vec<f64>>,
        has: impl Fn(usize, usize) -> bool,
        mut dense: Vec<f64>,
        tolerance: f64,
    ) -> Result<Self, Dependence> {
        let (n, width) = (levels.codes.len(), columns.len());
        let mut place = vec![NONE; levels.count * width];
        let (mut coordinates, mut lengths) = (Vec::new(), Vec::new());
        let mut r_levels = vec![0.0; levels.count * width * width];
        for level in 0..levels.count {
            let rows = levels.rows(level);
            let r = &mut r_levels[level * width * width..][..width * width];
            let mut own: Vec<(usize, Vec<f64>)> = Vec::with_capacity(width);
            for c in 0..width {
                if !has(level, c) {
                    continue;
                }
                let mut values: Vec<f64> = rows.iter().map(|&i| columns[c][i as usize]).collect();
                let length = norm(&values);
                for _ in 0..2 {
                    for (k, direction) in &own {
                        let along = dot(direction, &values) / n as f64;
                        r[c * width + k] += along;
                        values.iter_mut().zip(direction).for_each(|(v, d)| *v -= along * d);
                    }
                }
                let rest = norm(&values);
                if rest <= tolerance * length {
                    continue;
                }
                let scale = rest / (n as f64).sqrt();
                r[c * width + c] = scale;
                values.iter_mut().for_each(|v| *v /= scale);
                place[level * width + c] = coordinates.len() as u32;
                coordinates.push((level as u32, c as u32));
                lengths.push(length);
                own.push((c, values));
            }
            for (c, column) in columns.iter_mut().enumerate() {
                match own.iter().find(|(k, _)| *k == c) {
                    Some((_, values)) => rows.iter().zip(values).for_each(|(&i, v)| column[i as usize] = *v),
                    None => rows.iter().for_each(|&i| column[i as usize] = 0.0),
                }
            }
        }
        for &i in levels.rows(levels.count) {
            columns.iter_mut().for_each(|column| column[i as usize] = 0.0);
        }
        let (d, count) = (dense.len().checked_div(n).unwrap_or(0), coordinates.len());
        let mut basis = Self {
            n,
            width,
            levels,
            columns,
            place,
            coordinates,
            r_levels,
            dense: Arc::new(Vec::new()),
            d: 0,
            s: vec![0.0; count * d],
            r_dense: vec![0.0; d * d],
        };
        for j in 0..d {
            let (done, rest) = dense.split_at_mut(j * n);
            let column = &mut rest[..n];
            let length = norm(column);
            let (s, r) = (&mut vec![0.0; count], &mut vec![0.0; j]);
            // Twice is enough, as for dense columns.
            for _ in 0..2 {
                let along: Vec<f64> = basis.gather_levels(column).into_iter().map(|sum| sum / n as f64).collect();
                basis.subtract_levels(&along, column);
                s.iter_mut().zip(along).for_each(|(s, along)| *s += along);
                for (r, direction) in r.iter_mut().zip(done.chunks_exact(n)) {
                    let along = dot(direction, column) / n as f64;
                    column.iter_mut().zip(direction).for_each(|(v, q)| *v -= along * q);
                    *r += along;
                }
            }
            let rest = norm(column);
            if rest <= tolerance * length {
                basis.d = j;
                let mut x = s.clone();
                x.extend(r.iter());
                basis.shrink_triangle(d, j);
                let raw = basis.to_raw(&x);
                let at = |k: usize| (basis.coordinates[k].0 as usize, basis.coordinates[k].1 as usize);
                let shares = (0..count).map(|k| (at(k), (raw[k] * lengths[k] / length).abs())).collect();
                return Err(Dependence { dense: j, levels: shares });
            }
            let scale = rest / (n as f64).sqrt();
            column.iter_mut().for_each(|v| *v /= scale);
            basis.s[j * count..(j + 1) * count].copy_from_slice(s);
            basis.r_dense[j * d..j * d + j].copy_from_slice(r);
            basis.r_dense[j * d + j] = scale;
        }
        basis.d = d;
        basis.dense = Arc::new(dense);
        Ok(basis)
    }

    /// The same with the rows multiplied by `root_weights`: a basis of these, made of the columns of this one.
    ///
    /// # Errors
    /// As in [`LevelBasis::new`], where the weights leave too little of a dense column.
    pub fn weighted(&self, root_weights: &[f64]) -> Result<Self, Dependence> {
        let times = |column: &[f64]| column.iter().zip(root_weights).map(|(x, s)| x * s).collect::<Vec<f64>>();
        let columns = self.columns.iter().map(|column| times(column)).collect();
        let dense = self.dense.chunks_exact(self.n.max(1)).flat_map(times).collect();
        let has = |level: usize, c: usize| self.place[level * self.width + c] != NONE;
        Self::new(self.levels.clone(), columns, has, dense, 1e-13)
    }

    /// The same coordinates in some rows: B'B is no longer n I.
    pub fn of_rows(&self, rows: &[usize]) -> Self {
        let some = |column: &[f64]| rows.iter().map(|&i| column[i]).collect::<Vec<f64>>();
        let codes = rows.iter().map(|&i| self.levels.codes[i]).collect();
        Self {
            n: rows.len(),
            levels: Arc::new(Levels::new(codes, self.levels.count)),
            columns: self.columns.iter().map(|column| some(column)).collect(),
            dense: Arc::new(self.dense.chunks_exact(self.n.max(1)).flat_map(some).collect()),
            place: self.place.clone(),
            coordinates: self.coordinates.clone(),
            r_levels: self.r_levels.clone(),
            s: self.s.clone(),
            r_dense: self.r_dense.clone(),
            width: self.width,
            d: self.d,
        }
    }

    /// The columns this was made of: those of levels all at once, and the dense ones.
    pub fn raw(&self) -> (Vec<Vec<f64>>, Vec<f64>) {
        let mut columns = vec![vec![0.0; self.n]; self.width];
        for (i, &code) in self.levels.codes.iter().enumerate().filter(|(_, code)| (**code as usize) < self.levels.count)
        {
            for (c, column) in columns.iter_mut().enumerate() {
                column[i] = (0..=c).map(|k| self.columns[k][i] * self.r_level(code as usize, k, c)).sum();
            }
        }
        let (count, mut dense) = (self.n_levels(), vec![0.0; self.n * self.d]);
        for (j, column) in dense.chunks_exact_mut(self.n.max(1)).enumerate() {
            let mut x = self.s[j * count..(j + 1) * count].to_vec();
            x.extend_from_slice(&self.r_dense[j * self.d..(j + 1) * self.d]);
            self.add_rows_to(0..self.n, &x, column);
        }
        (columns, dense)
    }

    /// A basis of all columns but one.
    pub fn without(&self, k: usize) -> Option<Self> {
        let (columns, mut dense) = self.raw();
        if let Some(j) = k.checked_sub(self.n_levels()) {
            dense.drain(j * self.n..(j + 1) * self.n);
        }
        let has = |level: usize, c: usize| self.coordinate(level, c).is_some_and(|own| own != k);
        Self::new(self.levels.clone(), columns, has, dense, 1e-13).ok()
    }

    fn shrink_triangle(&mut self, from: usize, to: usize) {
        self.r_dense = (0..to * to).map(|at| self.r_dense[at / to * from + at % to]).collect();
    }

    /// Number of columns.
    pub fn p(&self) -> usize {
        self.coordinates.len() + self.d
    }

    /// Number of columns of levels; their coordinates come first.
    pub fn n_levels(&self) -> usize {
        self.coordinates.len()
    }

    /// The rows of each level.
    pub fn levels(&self) -> &Levels {
        &self.levels
    }

    /// Most columns of one level.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Column c of B of all levels at once.
    pub fn column_of_levels(&self, c: usize) -> &[f64] {
        &self.columns[c]
    }

    /// E, column-major.
    pub fn dense(&self) -> &Arc<Vec<f64>> {
        &self.dense
    }

    /// The coordinate of column c of a level, if it has one.
    pub fn coordinate(&self, level: usize, c: usize) -> Option<usize> {
        let place = self.place[level * self.width + c];
        (place != NONE).then_some(place as usize)
    }

    /// log |det| of the triangle.
    pub fn log_det(&self) -> f64 {
        let levels = self.coordinates.iter().map(|&(level, c)| {
            let (w, c) = (self.width, c as usize);
            self.r_levels[level as usize * w * w + c * w + c].ln()
        });
        levels.sum::<f64>() + (0..self.d).map(|j| self.r_dense[j * self.d + j].ln()).sum::<f64>()
    }

    /// The entries of a row that are not known to be zero: coordinate and value.
    pub fn row(&self, i: usize) -> impl Iterator<Item = (usize, f64)> + '_ {
        let (level, count) = (self.levels.codes[i] as usize, self.coordinates.len());
        let own = (0..if level < self.levels.count { self.width } else { 0 })
            .filter_map(move |c| Some((self.coordinate(level, c)?, self.columns[c][i])));
        own.chain((0..self.d).map(move |j| (count + j, self.dense[j * self.n + i])))
    }

    /// The level of each coordinate of B.
    pub fn level_of_coordinates(&self) -> impl Iterator<Item = usize> + '_ {
        self.coordinates.iter().map(|&(level, _)| level as usize)
    }

    /// The rows and values of a coordinate's column of B.
    pub fn entries(&self, k: usize) -> impl Iterator<Item = (usize, f64)> + '_ {
        let (level, c) = self.coordinates[k];
        let column = &self.columns[c as usize];
        self.levels.rows(level as usize).iter().map(move |&i| (i as usize, column[i as usize]))
    }

    /// eta += [B E] x in some rows; `eta` has these rows only.
    pub fn add_rows_to(&self, rows: Range<usize>, x: &[f64], eta: &mut [f64]) {
        let codes = &self.levels.codes[rows.clone()];
        for (c, column) in self.columns.iter().enumerate() {
            for ((value, &code), q) in eta.iter_mut().zip(codes).zip(&column[rows.clone()]) {
                let place = self.place.get(code as usize * self.width + c).map_or(NONE, |place| *place);
                if place != NONE {
                    *value += q * x[place as usize];
                }
            }
        }
        for (column, &coefficient) in self.dense.chunks_exact(self.n).zip(&x[self.coordinates.len()..]) {
            if coefficient != 0.0 {
                eta.iter_mut().zip(&column[rows.clone()]).for_each(|(value, q)| *value += coefficient * q);
            }
        }
    }

    /// sums += [B E]' r over some rows; `r` has these rows only.
    pub fn gather_rows(&self, rows: Range<usize>, r: &[f64], sums: &mut [f64]) {
        let codes = &self.levels.codes[rows.clone()];
        for (c, column) in self.columns.iter().enumerate() {
            for ((value, &code), q) in r.iter().zip(codes).zip(&column[rows.clone()]) {
                let place = self.place.get(code as usize * self.width + c).map_or(NONE, |place| *place);
                if place != NONE {
                    sums[place as usize] += q * value;
                }
            }
        }
        for (column, sum) in self.dense.chunks_exact(self.n).zip(&mut sums[self.coordinates.len()..]) {
            *sum += dot(&column[rows.clone()], r);
        }
    }

    /// Replaces y by its part orthogonal to [B E]; the coefficients of the rest, in units of columns of length sqrt(n).
    pub fn project_off(&self, y: &mut [f64]) -> Vec<f64> {
        let mut total = vec![0.0; self.p()];
        for _ in 0..2 {
            let mut along = vec![0.0; self.p()];
            add_up(self.n, &mut along, |rows, sums| self.gather_rows(rows.clone(), &y[rows], sums));
            along.iter_mut().for_each(|value| *value /= self.n as f64);
            let minus: Vec<f64> = along.iter().map(|value| -value).collect();
            by_chunk(self.n, vec![&mut *y], |rows, y| self.add_rows_to(rows, &minus, y[0]));
            total.iter_mut().zip(along).for_each(|(total, along)| *total += along);
        }
        total
    }

    fn gather_levels(&self, r: &[f64]) -> Vec<f64> {
        let rows_of = |&(level, c): &(u32, u32)| {
            let column = &self.columns[c as usize];
            self.levels.rows(level as usize).iter().map(|&i| column[i as usize] * r[i as usize]).sum()
        };
        self.coordinates.par_iter().map(rows_of).collect()
    }

    fn subtract_levels(&self, x: &[f64], r: &mut [f64]) {
        for (&(level, c), x) in self.coordinates.iter().zip(x) {
            let column = &self.columns[c as usize];
            self.levels.rows(level as usize).iter().for_each(|&i| r[i as usize] -= x * column[i as usize]);
        }
    }

    fn r_level(&self, level: usize, row: usize, column: usize) -> f64 {
        self.r_levels[(level * self.width + column) * self.width + row]
    }

    /// The other coordinates of the same level, before (or after) one of them: (coordinate, column).
    fn of_level(&self, k: usize, columns: Range<usize>) -> impl Iterator<Item = (usize, usize)> + '_ {
        let level = self.coordinates[k].0 as usize;
        columns.filter_map(move |c| Some((self.coordinate(level, c)?, c)))
    }

    /// T^{-1} x with T the triangle: coefficients of the columns this was made of, from those of the basis.
    pub fn to_raw(&self, x: &[f64]) -> Vec<f64> {
        let (count, d) = (self.coordinates.len(), self.d);
        let mut out = x.to_vec();
        let (levels, dense) = out.split_at_mut(count);
        for j in (0..d).rev() {
            dense[j] /= self.r_dense[j * d + j];
            for i in 0..j {
                dense[i] -= self.r_dense[j * d + i] * dense[j];
            }
        }
        for (column, x) in self.s.chunks_exact(count.max(1)).zip(&*dense) {
            levels.iter_mut().zip(column).for_each(|(value, s)| *value -= s * x);
        }
        for k in (0..count).rev() {
            let (level, c) = (self.coordinates[k].0 as usize, self.coordinates[k].1 as usize);
            let known: f64 =
                self.of_level(k, c + 1..self.width).map(|(m, later)| self.r_level(level, c, later) * levels[m]).sum();
            levels[k] = (levels[k] - known) / self.r_level(level, c, c);
        }
        out
    }

    /// T x.
    pub fn to_basis(&self, x: &[f64]) -> Vec<f64> {
        let (count, d) = (self.coordinates.len(), self.d);
        let (levels, dense) = x.split_at(count);
        let mut out = vec![0.0; count + d];
        for k in 0..count {
            let (level, c) = (self.coordinates[k].0 as usize, self.coordinates[k].1 as usize);
            out[k] = self.of_level(k, c..self.width).map(|(m, later)| self.r_level(level, c, later) * levels[m]).sum();
        }
        for (column, x) in self.s.chunks_exact(count.max(1)).zip(dense) {
            out.iter_mut().zip(column).for_each(|(value, s)| *value += s * x);
        }
        for i in 0..d {
            out[count + i] = (i..d).map(|j| self.r_dense[j * d + i] * dense[j]).sum();
        }
        out
    }

    /// T^{-T} x: a row that multiplies coefficients of the basis, from one that multiplies those of its columns.
    pub fn row_to_basis(&self, x: &[f64]) -> Vec<f64> {
        let (count, d) = (self.coordinates.len(), self.d);
        let mut out = x.to_vec();
        let (levels, dense) = out.split_at_mut(count);
        for k in 0..count {
            let (level, c) = (self.coordinates[k].0 as usize, self.coordinates[k].1 as usize);
            let known: f64 =
                self.of_level(k, 0..c).map(|(m, earlier)| self.r_level(level, earlier, c) * levels[m]).sum();
            levels[k] = (levels[k] - known) / self.r_level(level, c, c);
        }
        for j in 0..d {
            let column = &self.s[j * count..(j + 1) * count];
            dense[j] -= dot(column, levels);
            for i in 0..j {
                dense[j] -= self.r_dense[j * d + i] * dense[i];
            }
            dense[j] /= self.r_dense[j * d + j];
        }
        out
    }

    /// T' g: the gradient with respect to coefficients of the columns, from that with respect to the basis.
    pub fn gradient_to_raw(&self, g: &[f64]) -> Vec<f64> {
        let (count, d) = (self.coordinates.len(), self.d);
        let (levels, dense) = g.split_at(count);
        let mut out = vec![0.0; count + d];
        for k in 0..count {
            let (level, c) = (self.coordinates[k].0 as usize, self.coordinates[k].1 as usize);
            out[k] = self.of_level(k, 0..c + 1).map(|(m, e)| self.r_level(level, e, c) * levels[m]).sum();
        }
        for j in 0..d {
            let column = &self.s[j * count..(j + 1) * count];
            out[count + j] = dot(column, levels) + (0..=j).map(|i| self.r_dense[j * d + i] * dense[i]).sum::<f64>();
        }
        out
    }
}

fn norm(a: &[f64]) -> f64 {
    let squares = dot(a, a);
    if squares > 1e-200 && squares < 1e200 {
        return squares.sqrt();
    }
    let largest = a.iter().fold(0.0_f64, |m, value| m.max(value.abs()));
    if largest == 0.0 { 0.0 } else { largest * a.iter().map(|v| (v / largest).powi(2)).sum::<f64>().sqrt() }
}
