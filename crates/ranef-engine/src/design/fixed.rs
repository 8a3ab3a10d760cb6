//! Fixed-effects columns of one predictor, in orthonormal coordinates.
//!
//! X = Q R with Q'Q = n I, so that beta~ = R beta has coefficients of one size whatever the units of X, and so that no
//! result depends on scaling or centring. Columns that the earlier ones span are aliased and left out, as R does.
//!
//! Where most columns belong to the levels of one factor, Q is a [`LevelBasis`] and R no longer upper triangular in the
//! order of the columns; nothing else differs.
use super::level_basis::{Dependence, LevelBasis, Levels};
use super::{add_up, by_chunk};
use std::ops::Range;

use rayon::prelude::*;
use std::sync::{Arc, OnceLock};

/// A column whose part outside the span of the earlier columns is below this share of its length is aliased (the
/// tolerance of R's `lm` and of lme4's rank check).
const RANK_TOLERANCE: f64 = 1e-7;

/// A share of a dependent column below which another has no part in it: the dependence of rounding errors is ten
/// thousand times smaller.
const NO_PART: f64 = 1e-9;

/// Columns of X that belong to the levels of a factor: indicators, or covariates times indicators.
#[derive(Clone, Debug)]
pub struct LevelColumns {
    /// The level of each row; `levels` where none of these columns has anything but zero.
    pub codes: Vec<u32>,
    /// Number of levels.
    pub levels: usize,
    /// What the indicators are multiplied by, for each kind of column; `None` for the indicators themselves.
    pub values: Vec<Option<Vec<f64>>>,
    /// For each kind: where in X the column of each level stands, if there is one. Ascending from kind to kind.
    pub places: Vec<Vec<Option<usize>>>,
}

/// Rows of a matrix, each with its entries alone.
#[derive(Clone, Debug)]
pub struct SparseRows {
    starts: Vec<usize>,
    columns: Vec<u32>,
    values: Vec<f64>,
}

impl Default for SparseRows {
    fn default() -> Self {
        Self { starts: vec![0], columns: Vec::new(), values: Vec::new() }
    }
}

impl SparseRows {
    /// The rows of dense columns (n x d column-major, at `places`) and columns of levels.
    pub fn of_levels(dense: &[f64], places: &[usize], levels: &LevelColumns) -> Self {
        let n = levels.codes.len();
        let mut rows = Self::default();
        for (i, &code) in levels.codes.iter().enumerate() {
            for (row, values) in levels.places.iter().zip(&levels.values) {
                if let Some(Some(place)) = row.get(code as usize) {
                    rows.push(*place, values.as_ref().map_or(1.0, |values| values[i]));
                }
            }
            places.iter().enumerate().for_each(|(j, &place)| rows.push(place, dense[j * n + i]));
            rows.end();
        }
        rows
    }

    /// An entry of the row that is being written; zeros need none.
    pub fn push(&mut self, column: usize, value: f64) {
        if value != 0.0 {
            self.columns.push(column as u32);
            self.values.push(value);
        }
    }

    /// Ends a row.
    pub fn end(&mut self) {
        self.starts.push(self.columns.len());
    }

    /// Column and value of the entries of a row.
    pub fn row(&self, i: usize) -> impl Iterator<Item = (usize, f64)> + '_ {
        let range = self.starts[i]..self.starts[i + 1];
        self.columns[range.clone()].iter().map(|&column| column as usize).zip(self.values[range].iter().copied())
    }
}

/// Q by levels, with the coordinate of each kept column.
#[derive(Clone, Debug)]
struct ByLevel {
    basis: Arc<LevelBasis>,
    order: Vec<usize>,
}

/// How Q is kept.
#[derive(Clone, Debug)]
enum Basis {
    /// n x p, column-major.
    Dense(Arc<Vec<f64>>),
    /// Of an intercept alone, which is its own Q: written out only when somebody reads it.
    Intercept(OnceLock<Arc<Vec<f64>>>),
    /// Most columns belong to the levels of one factor.
    ByLevel(ByLevel),
}

/// The fixed effects of one predictor.
#[derive(Clone, Debug)]
pub struct Fixed {
    n: usize,
    basis: Basis,
    r: Vec<f64>,
    kept: Vec<usize>,
    aliased: Vec<usize>,
    offset: Option<Vec<f64>>,
}

impl Fixed {
    /// From X (n x p, column-major) and an offset.
    pub fn new(n: usize, x: &[f64], offset: Option<Vec<f64>>) -> Self {
        Self::from_columns(n, x.to_vec(), offset)
    }

    /// The same in the memory of X.
    pub fn from_columns(n: usize, mut x: Vec<f64>, offset: Option<Vec<f64>>) -> Self {
        let columns = x.len().checked_div(n).unwrap_or(0);
        let (mut kept, mut aliased) = (Vec::new(), Vec::new());
        let mut rows: Vec<Vec<f64>> = Vec::new();
        for j in 0..columns {
            if kept.len() < j {
                x.copy_within(j * n..(j + 1) * n, kept.len() * n);
            }
            let (q, rest) = x.split_at_mut(kept.len() * n);
            let column = &mut rest[..n];
            let length = norm(column);
            let mut weights = vec![0.0; kept.len()];
            // Twice is enough: a second pass of Gram-Schmidt leaves Q orthogonal to rounding (Giraud et al. 2005).
            for _ in 0..2 {
                let along: Vec<f64> = q.chunks_exact(n).map(|direction| dot(direction, column) / n as f64).collect();
                weights.iter_mut().zip(&along).for_each(|(weight, along)| *weight += along);
                each_chunk(column, |first, values| {
                    for (direction, along) in q.chunks_exact(n).zip(&along) {
                        values.iter_mut().zip(&direction[first..]).for_each(|(value, d)| *value -= along * d);
                    }
                });
            }
            let rest = norm(column);
            if rest <= RANK_TOLERANCE * length {
                aliased.push(j);
                continue;
            }
            let scale = rest / (n as f64).sqrt();
            each_chunk(column, |_, values| values.iter_mut().for_each(|value| *value /= scale));
            weights.push(scale);
            rows.push(weights);
            kept.push(j);
        }
        let p = kept.len();
        if !aliased.is_empty() {
            x.truncate(p * n);
            x.shrink_to_fit();
        }
        let mut r = vec![0.0; p * p];
        for (j, weights) in rows.iter().enumerate() {
            r[j * p..j * p + weights.len()].copy_from_slice(weights);
        }
        Self { n, basis: Basis::Dense(Arc::new(x)), r, kept, aliased, offset }
    }

    /// Of an intercept and an offset.
    pub fn intercept(n: usize, offset: Option<Vec<f64>>) -> Self {
        let basis = Basis::Intercept(OnceLock::new());
        Self { n, basis, r: vec![1.0], kept: vec![0], aliased: Vec::new(), offset }
    }

    /// The same coordinates in some rows: Q'Q is no longer n I.
    pub(super) fn of_rows(&self, rows: &[usize]) -> Self {
        let some = |column: &[f64]| -> Vec<f64> { rows.iter().map(|&i| column[i]).collect() };
        let offset = self.offset.as_deref().map(some);
        let basis = match &self.basis {
            Basis::Dense(_) => Basis::Dense(Arc::new((0..self.p()).flat_map(|j| some(self.column(j))).collect())),
            Basis::Intercept(_) => Basis::Intercept(OnceLock::new()),
            Basis::ByLevel(own) => {
                Basis::ByLevel(ByLevel { basis: Arc::new(own.basis.of_rows(rows)), order: own.order.clone() })
            }
        };
        Self { n: rows.len(), basis, r: self.r.clone(), kept: self.kept.clone(), aliased: self.aliased.clone(), offset }
    }

    /// From columns of levels and the others (`dense`, n x d column-major, which stand at `places` of X, ascending).
    ///
    /// The columns kept are those that [`Fixed::new`] keeps: a column goes that depends on others and is the last of them.
    pub fn by_level(
        n: usize,
        dense: Vec<f64>,
        places: &[usize],
        levels: &LevelColumns,
        offset: Option<Vec<f64>>,
    ) -> Self {
        let shared = Arc::new(Levels::new(levels.codes.clone(), levels.levels));
        let place = |level: usize, kind: usize| levels.places[kind][level];
        let columns = places.len() + levels.places.iter().flatten().flatten().count();
        let mut aliased = vec![false; columns];
        let mut alone: Vec<usize> = (0..places.len()).collect();
        let basis = loop {
            let one = |values: &Option<Vec<f64>>| values.clone().unwrap_or_else(|| vec![1.0; n]);
            let raw = levels.values.iter().map(one).collect();
            let has = |level: usize, kind: usize| place(level, kind).is_some_and(|at| !aliased[at]);
            let own: Vec<f64> = alone.iter().flat_map(|&j| dense[j * n..(j + 1) * n].iter().copied()).collect();
            match LevelBasis::new(shared.clone(), raw, has, own, RANK_TOLERANCE) {
                Ok(basis) => break basis,
                Err(Dependence { dense, levels }) => {
                    // Of the columns that depend on each other the last goes: leaving out the largest of each such set
                    // in turn gives the same columns in any order. Earlier dense columns are never later than this one.
                    let own = places[alone[dense]];
                    let shares = levels.into_iter().filter(|(_, share)| *share > NO_PART);
                    let last = shares.filter_map(|((level, kind), _)| place(level, kind)).fold(own, usize::max);
                    aliased[last] = true;
                    if last == own {
                        alone.remove(dense);
                    }
                }
            }
        };
        let mut coordinates = vec![None; columns];
        for (kind, row) in levels.places.iter().enumerate() {
            for (level, at) in row.iter().enumerate() {
                if let Some(at) = at {
                    coordinates[*at] = basis.coordinate(level, kind);
                }
            }
        }
        for (k, &j) in alone.iter().enumerate() {
            coordinates[places[j]] = Some(basis.n_levels() + k);
        }
        let kept: Vec<usize> = (0..columns).filter(|&j| coordinates[j].is_some()).collect();
        let aliased = (0..columns).filter(|&j| coordinates[j].is_none()).collect();
        let order = kept.iter().filter_map(|&j| coordinates[j]).collect();
        let basis = Basis::ByLevel(ByLevel { basis: Arc::new(basis), order });
        Self { n, basis, r: Vec::new(), kept, aliased, offset }
    }

    /// Kept column j of X.
    pub fn original_column(&self, j: usize) -> Vec<f64> {
        let (mut unit, mut x) = (vec![0.0; self.p()], vec![0.0; self.n]);
        unit[j] = 1.0;
        self.add_to(&self.to_rotated(&unit), &mut x);
        x
    }

    /// The kept columns written out, where Q is by levels and that takes no more than `numbers`.
    pub(crate) fn written_out(&self, numbers: usize) -> Option<Self> {
        if self.level_basis().is_none() || self.n.saturating_mul(self.p()) > numbers {
            return None;
        }
        let x = (0..self.p()).flat_map(|j| self.original_column(j)).collect();
        let dense = Self::from_columns(self.n, x, self.offset.clone());
        (dense.p() == self.p()).then_some(dense)
    }

    /// The entries of each row of X that are not known to be zero, where Q is by levels.
    pub(crate) fn original_rows(&self) -> Option<SparseRows> {
        let Basis::ByLevel(own) = &self.basis else { return None };
        let (columns, dense) = own.basis.raw();
        let mut place = vec![0; self.p()];
        own.order.iter().zip(&self.kept).for_each(|(&k, &column)| place[k] = column);
        let mut rows = SparseRows::default();
        for i in 0..self.n {
            let level = own.basis.levels().codes[i] as usize;
            for (c, column) in columns.iter().enumerate().filter(|_| level < own.basis.levels().count) {
                if let Some(k) = own.basis.coordinate(level, c) {
                    rows.push(place[k], column[i]);
                }
            }
            for (j, column) in dense.chunks_exact(self.n).enumerate() {
                rows.push(place[own.basis.n_levels() + j], column[i]);
            }
            rows.end();
        }
        Some(rows)
    }

    /// A basis of all columns but the kept column j, where Q is by levels.
    pub(crate) fn without(&self, j: usize) -> Option<Arc<LevelBasis>> {
        let Basis::ByLevel(own) = &self.basis else { return None };
        own.basis.without(own.order[j]).map(Arc::new)
    }

    /// Q by levels, where it is.
    pub(crate) fn level_basis(&self) -> Option<&Arc<LevelBasis>> {
        match &self.basis {
            Basis::ByLevel(own) => Some(&own.basis),
            _ => None,
        }
    }

    /// The entries of a row of Q that are not known to be zero.
    pub(crate) fn row(&self, i: usize) -> Vec<(usize, f64)> {
        match &self.basis {
            Basis::ByLevel(own) => own.basis.row(i).collect(),
            Basis::Intercept(_) => vec![(0, 1.0)],
            Basis::Dense(q) => (0..self.p()).map(|j| (j, q[j * self.n + i])).collect(),
        }
    }

    /// Q, column-major, to be shared rather than copied; its dense columns alone where it is by levels.
    pub fn basis(&self) -> &Arc<Vec<f64>> {
        match &self.basis {
            Basis::Dense(q) => q,
            Basis::Intercept(q) => q.get_or_init(|| Arc::new(vec![1.0; self.n])),
            Basis::ByLevel(own) => own.basis.dense(),
        }
    }

    /// Whether the predictor has one value for all rows, but for random effects.
    pub fn is_constant(&self) -> bool {
        matches!(self.basis, Basis::Intercept(_)) && self.offset.is_none()
    }

    /// Number of columns kept.
    pub fn p(&self) -> usize {
        self.kept.len()
    }

    /// Indices of the columns of X that are kept.
    pub fn kept(&self) -> &[usize] {
        &self.kept
    }

    /// Indices of the columns of X that the others span.
    pub fn aliased(&self) -> &[usize] {
        &self.aliased
    }

    /// Column j of Q where it is not by levels.
    pub fn column(&self, j: usize) -> &[f64] {
        &self.basis()[j * self.n..(j + 1) * self.n]
    }

    /// Column j of Q where it is dense, whatever the others are.
    pub(crate) fn dense_column(&self, j: usize) -> &[f64] {
        match &self.basis {
            Basis::ByLevel(own) => &own.basis.dense()[(j - own.basis.n_levels()) * self.n..][..self.n],
            _ => self.column(j),
        }
    }

    /// The offset.
    pub fn offset(&self) -> Option<&[f64]> {
        self.offset.as_deref()
    }

    /// Replaces the offset.
    pub fn set_offset(&mut self, offset: Option<Vec<f64>>) {
        self.offset = offset;
    }

    /// log |det R|, the log-Jacobian of beta -> beta~.
    pub fn log_det(&self) -> f64 {
        if let Basis::ByLevel(own) = &self.basis {
            return own.basis.log_det();
        }
        (0..self.p()).map(|j| self.r[j * self.p() + j].ln()).sum()
    }

    /// eta += Q beta~.
    pub fn add_to(&self, beta: &[f64], eta: &mut [f64]) {
        by_chunk(self.n, vec![eta], |rows, eta| self.add_rows_to(rows, beta, eta[0]));
    }

    /// eta = offset + Q beta~; without coefficients, the offset alone.
    pub(crate) fn predict_into(&self, beta: &[f64], eta: &mut [f64]) {
        by_chunk(self.n, vec![eta], |rows, eta| {
            match self.offset() {
                Some(offset) => eta[0].copy_from_slice(&offset[rows.clone()]),
                None => eta[0].fill(0.0),
            }
            self.add_rows_to(rows, beta, eta[0]);
        });
    }

    /// eta += Q beta~ in some rows; `eta` has these rows only.
    pub(crate) fn add_rows_to(&self, rows: Range<usize>, beta: &[f64], eta: &mut [f64]) {
        if let (Basis::Intercept(_), Some(coefficient)) = (&self.basis, beta.first()) {
            eta.iter_mut().for_each(|value| *value += coefficient);
            return;
        }
        if let Basis::ByLevel(own) = &self.basis {
            // No coefficients are none at all, as for dense columns.
            if !beta.is_empty() {
                own.basis.add_rows_to(rows, beta, eta);
            }
            return;
        }
        for (j, &coefficient) in beta.iter().enumerate() {
            if coefficient != 0.0 {
                let column = &self.column(j)[rows.clone()];
                eta.iter_mut().zip(column).for_each(|(value, x)| *value += coefficient * x);
            }
        }
    }

    /// Q' r.
    pub fn gather(&self, r: &[f64]) -> Vec<f64> {
        let mut out = vec![0.0; self.p()];
        add_up(self.n, &mut out, |rows, sums| self.gather_rows(rows.clone(), &r[rows], sums));
        out
    }

    /// beta~ of the projection of a column on these: Q' r / n, as Q'Q = n I.
    pub fn project(&self, r: &[f64]) -> Vec<f64> {
        self.gather(r).into_iter().map(|value| value / self.n as f64).collect()
    }

    /// sums += Q' r over some rows; `r` has these rows only.
    pub(crate) fn gather_rows(&self, rows: Range<usize>, r: &[f64], sums: &mut [f64]) {
        match &self.basis {
            Basis::Intercept(_) => {
                sums[0] += crate::linalg::sum(r);
                return;
            }
            Basis::ByLevel(own) => return own.basis.gather_rows(rows, r, sums),
            Basis::Dense(_) => {}
        }
        for (j, sum) in sums.iter_mut().enumerate().take(self.p()) {
            *sum += dot(&self.column(j)[rows.clone()], r);
        }
    }

    /// beta = R^-1 beta~.
    pub fn to_original(&self, rotated: &[f64]) -> Vec<f64> {
        if let Basis::ByLevel(own) = &self.basis {
            return own.collect(&own.basis.to_raw(rotated));
        }
        let p = self.p();
        let mut beta = rotated.to_vec();
        for j in (0..p).rev() {
            beta[j] /= self.r[j * p + j];
            for i in 0..j {
                beta[i] -= self.r[j * p + i] * beta[j];
            }
        }
        beta
    }

    /// Row j of R^-1, that gives coefficient j from beta~.
    pub fn coefficient_row(&self, j: usize) -> Vec<f64> {
        let mut x = vec![0.0; self.p()];
        x[j] = 1.0;
        self.rotate_row(&x)
    }

    /// The element of beta~ that column j brought with it: coefficient j cannot do without.
    pub fn own_coordinate(&self, j: usize) -> usize {
        match &self.basis {
            Basis::ByLevel(own) => own.order[j],
            _ => j,
        }
    }

    /// beta~ = R beta.
    pub fn to_rotated(&self, beta: &[f64]) -> Vec<f64> {
        if let Basis::ByLevel(own) = &self.basis {
            return own.basis.to_basis(&own.spread(beta));
        }
        let p = self.p();
        (0..p).map(|i| (i..p).map(|j| self.r[j * p + i] * beta[j]).sum()).collect()
    }

    /// R^-T x: the row that multiplies beta~ as the row x (kept columns) multiplies beta.
    pub fn rotate_row(&self, x: &[f64]) -> Vec<f64> {
        if let Basis::ByLevel(own) = &self.basis {
            return own.basis.row_to_basis(&own.spread(x));
        }
        let p = self.p();
        let mut row = x.to_vec();
        for j in 0..p {
            for i in 0..j {
                row[j] -= self.r[j * p + i] * row[i];
            }
            row[j] /= self.r[j * p + j];
        }
        row
    }

    /// Largest minus smallest value of column j of X (of those kept); 1 for a constant.
    pub fn range(&self, j: usize) -> f64 {
        let mut unit = vec![0.0; self.p()];
        unit[j] = 1.0;
        if let Some(range) = self.range_in_level(j) {
            return range;
        }
        let mut column = vec![0.0; self.n];
        self.add_to(&self.to_rotated(&unit), &mut column);
        let (low, high) = column.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(*v), h.max(*v)));
        // The column is rebuilt from Q R, so that a constant comes back with rounding.
        if high - low > 1e-9 * high.abs().max(low.abs()) { high - low } else { 1.0 }
    }

    /// The same for a column of a level, which is zero elsewhere.
    fn range_in_level(&self, j: usize) -> Option<f64> {
        let Basis::ByLevel(own) = &self.basis else { return None };
        let coordinate = own.order[j];
        if coordinate >= own.basis.n_levels() {
            return None;
        }
        let mut unit = vec![0.0; self.p()];
        unit[coordinate] = 1.0;
        let rotated = own.basis.to_basis(&unit);
        let values = own.basis.entries(coordinate).map(|(i, _)| own.basis.row(i).map(|(k, x)| x * rotated[k]).sum());
        let (low, high) = values.fold((0.0_f64, 0.0_f64), |(l, h), v: f64| (l.min(v), h.max(v)));
        Some(high - low)
    }

    /// R' g: a gradient with respect to beta from one with respect to beta~.
    pub fn gradient_to_original(&self, rotated: &[f64]) -> Vec<f64> {
        if let Basis::ByLevel(own) = &self.basis {
            return own.collect(&own.basis.gradient_to_raw(rotated));
        }
        let p = self.p();
        (0..p).map(|j| (0..=j).map(|i| self.r[j * p + i] * rotated[i]).sum()).collect()
    }
}

impl ByLevel {
    /// From the order of coordinates to that of the kept columns.
    fn collect(&self, values: &[f64]) -> Vec<f64> {
        self.order.iter().map(|&k| values[k]).collect()
    }

    /// And back.
    fn spread(&self, values: &[f64]) -> Vec<f64> {
        let mut out = vec![0.0; self.order.len()];
        self.order.iter().zip(values).for_each(|(&k, value)| out[k] = *value);
        out
    }
}

/// Rows of one task: fixed, so that sums do not depend on the number of threads.
const ROWS: usize = 1 << 14;

fn each_chunk(values: &mut [f64], run: impl Fn(usize, &mut [f64]) + Sync) {
    if values.len() <= ROWS {
        return run(0, values);
    }
    values.par_chunks_mut(ROWS).enumerate().for_each(|(k, values)| run(k * ROWS, values));
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    if a.len() <= ROWS {
        return crate::linalg::dot(a, b);
    }
    let parts: Vec<f64> = a.par_chunks(ROWS).zip(b.par_chunks(ROWS)).map(|(a, b)| crate::linalg::dot(a, b)).collect();
    parts.into_iter().sum()
}

fn norm(a: &[f64]) -> f64 {
    let squares = dot(a, a);
    if squares > 1e-200 && squares < 1e200 {
        return squares.sqrt();
    }
    // Scaled, so that columns of 1e200 or 1e-200 neither overflow nor vanish.
    let largest = a.iter().fold(0.0_f64, |m, value| m.max(value.abs()));
    if largest == 0.0 { 0.0 } else { largest * a.iter().map(|v| (v / largest).powi(2)).sum::<f64>().sqrt() }
}

#[cfg(test)]
mod tests {
    use super::Fixed;

    #[test]
    fn an_intercept_alone_is_its_column() {
        let (n, eta) = (5, [0.1, -2.0, 0.4, 3.0, 1.5]);
        let (short, long) = (Fixed::intercept(n, None), Fixed::new(n, &vec![1.0; n], None));
        let (mut a, mut b) = (eta, eta);
        short.add_to(&short.to_rotated(&[0.7]), &mut a);
        long.add_to(&long.to_rotated(&[0.7]), &mut b);
        for (a, b) in a.iter().zip(&b).chain(short.gather(&eta).iter().zip(&long.gather(&eta))) {
            assert!((a - b).abs() < 1e-14, "{a} {b}");
        }
        assert_eq!(short.column(0), long.column(0));
        assert!(short.is_constant());
        assert!(!Fixed::intercept(n, Some(eta.to_vec())).is_constant());
    }

    #[test]
    fn rotation_is_undone_and_aliased_columns_are_the_later_ones() {
        let n = 6;
        let one = vec![1.0; n];
        let x: Vec<f64> = (0..n).map(|i| 2000.0 + i as f64).collect();
        let both: Vec<f64> = x.iter().map(|v| 3.0 * v - 7.0).collect();
        let square: Vec<f64> = x.iter().map(|v| v * v).collect();
        let columns = [one, x, both, square].concat();
        let fixed = Fixed::new(n, &columns, None);
        assert_eq!(fixed.kept(), [0, 1, 3]);
        assert_eq!(fixed.aliased(), [2]);
        let beta = [0.3, -0.2, 0.001];
        let back = fixed.to_original(&fixed.to_rotated(&beta));
        for (a, b) in back.iter().zip(&beta) {
            assert!((a - b).abs() < 1e-9 * (1.0 + b.abs()), "{a} {b}");
        }
        let mut eta = vec![0.0; n];
        fixed.add_to(&fixed.to_rotated(&beta), &mut eta);
        for i in 0..n {
            let direct = beta[0] + beta[1] * columns[n + i] + beta[2] * columns[3 * n + i];
            assert!((eta[i] - direct).abs() < 1e-8, "{} {direct}", eta[i]);
        }
    }
}
