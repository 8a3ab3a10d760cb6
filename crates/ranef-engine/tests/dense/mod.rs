//! Plain dense arithmetic on column-major matrices, and random designs: what the tests compare with.
//!
//! Textbook loops without any structure, so that an error in the engine's blocked algebra cannot be repeated here.
#![allow(dead_code, missing_docs)]
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use ranef_engine::covariance::{self, Template};
use ranef_engine::design::{Column, Grouping};

#[derive(Clone, Debug, PartialEq)]
pub struct Dense {
    pub rows: usize,
    pub columns: usize,
    pub values: Vec<f64>,
}

impl Dense {
    pub fn zeros(rows: usize, columns: usize) -> Self {
        Self { rows, columns, values: vec![0.0; rows * columns] }
    }

    pub fn identity(n: usize) -> Self {
        let mut out = Self::zeros(n, n);
        (0..n).for_each(|i| out.set(i, i, 1.0));
        out
    }

    pub fn from(rows: usize, columns: usize, values: &[f64]) -> Self {
        assert_eq!(values.len(), rows * columns);
        Self { rows, columns, values: values.to_vec() }
    }

    pub fn at(&self, i: usize, j: usize) -> f64 {
        self.values[j * self.rows + i]
    }

    pub fn set(&mut self, i: usize, j: usize, value: f64) {
        self.values[j * self.rows + i] = value;
    }

    pub fn transposed(&self) -> Self {
        let mut out = Self::zeros(self.columns, self.rows);
        for j in 0..self.columns {
            for i in 0..self.rows {
                out.set(j, i, self.at(i, j));
            }
        }
        out
    }

    pub fn times(&self, other: &Self) -> Self {
        assert_eq!(self.columns, other.rows);
        let mut out = Self::zeros(self.rows, other.columns);
        for j in 0..other.columns {
            for k in 0..self.columns {
                let scale = other.at(k, j);
                if scale != 0.0 {
                    for i in 0..self.rows {
                        out.values[j * self.rows + i] += self.values[k * self.rows + i] * scale;
                    }
                }
            }
        }
        out
    }

    pub fn plus(&self, scale: f64, other: &Self) -> Self {
        assert_eq!((self.rows, self.columns), (other.rows, other.columns));
        let values = self.values.iter().zip(&other.values).map(|(a, b)| a + scale * b).collect();
        Self { values, ..*self }
    }

    pub fn block(&self, i: usize, j: usize, rows: usize, columns: usize) -> Self {
        let mut out = Self::zeros(rows, columns);
        for b in 0..columns {
            for a in 0..rows {
                out.set(a, b, self.at(i + a, j + b));
            }
        }
        out
    }

    pub fn beside(&self, other: &Self) -> Self {
        assert_eq!(self.rows, other.rows);
        let values = self.values.iter().chain(&other.values).copied().collect();
        Self { rows: self.rows, columns: self.columns + other.columns, values }
    }

    /// Lower Cholesky factor of a positive definite matrix.
    pub fn cholesky(&self) -> Self {
        let n = self.rows;
        let mut l = Self::zeros(n, n);
        for j in 0..n {
            for i in j..n {
                let sum: f64 = (0..j).map(|k| l.at(i, k) * l.at(j, k)).sum();
                let value = self.at(i, j) - sum;
                l.set(i, j, if i == j { value.sqrt() } else { value / l.at(j, j) });
            }
        }
        assert!(l.values.iter().all(|value| value.is_finite()), "not positive definite");
        l
    }

    pub fn log_det(&self) -> f64 {
        let l = self.cholesky();
        (0..self.rows).map(|i| 2.0 * l.at(i, i).ln()).sum()
    }

    pub fn inverse(&self) -> Self {
        self.solve(&Self::identity(self.rows))
    }

    pub fn solve(&self, rhs: &Self) -> Self {
        let (l, n) = (self.cholesky(), self.rows);
        let mut x = rhs.clone();
        for c in 0..rhs.columns {
            for i in 0..n {
                let sum: f64 = (0..i).map(|k| l.at(i, k) * x.at(k, c)).sum();
                x.set(i, c, (x.at(i, c) - sum) / l.at(i, i));
            }
            for i in (0..n).rev() {
                let sum: f64 = (i + 1..n).map(|k| l.at(k, i) * x.at(k, c)).sum();
                x.set(i, c, (x.at(i, c) - sum) / l.at(i, i));
            }
        }
        x
    }

    pub fn largest(&self) -> f64 {
        self.values.iter().fold(0.0, |largest, value| largest.max(value.abs()))
    }
}

/// Fails with the place of the largest difference when it exceeds `tolerance` times the largest entry (or one).
#[track_caller]
pub fn assert_close(what: &str, found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len(), "{what}: length");
    let scale = expected.iter().fold(1.0f64, |scale, value| scale.max(value.abs()));
    for (k, (found, expected)) in found.iter().zip(expected).enumerate() {
        let error = (found - expected).abs();
        assert!(error <= tolerance * scale, "{what}[{k}]: {found} instead of {expected}, error {error:e}");
    }
}

/// Grouping factors with their columns, and a fixed design, on the same rows.
#[derive(Clone, Debug)]
pub struct Layout {
    pub n: usize,
    pub codes: Vec<Vec<u32>>,
    pub levels: Vec<usize>,
    /// For each factor its columns.
    pub columns: Vec<Vec<Vec<f64>>>,
    /// Columns of X.
    pub x: Vec<Vec<f64>>,
    pub rng: ChaCha8Rng,
}

/// How the levels of the grouping factors are laid out over the rows.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// One factor.
    Single,
    /// Two factors, every combination as likely.
    Crossed,
    /// Three factors, every combination as likely.
    ThreeCrossed,
    /// c inside b inside a.
    Nested,
    /// b inside a, crossed with c.
    NestedAndCrossed,
    /// A level for each row, beside a coarser factor.
    Observation,
}

/// The structures with a square Lambda.
pub const STRUCTURES: [&str; 9] = ["us", "diag", "homdiag", "cs", "homcs", "ar1", "hetar1", "toep", "homtoep"];

pub const KINDS: [Kind; 6] =
    [Kind::Single, Kind::Crossed, Kind::ThreeCrossed, Kind::Nested, Kind::NestedAndCrossed, Kind::Observation];

impl Layout {
    /// A random layout of n rows; `size` scales the number of levels, `widths` gives the number of columns of each
    /// factor (cycled), `p` that of X.
    pub fn new(kind: Kind, n: usize, size: usize, widths: &[usize], p: usize, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut draw = |levels: usize| -> Vec<u32> { (0..n).map(|_| rng.random_range(0..levels as u32)).collect() };
        let (codes, levels): (Vec<Vec<u32>>, Vec<usize>) = match kind {
            Kind::Single => (vec![draw(size)], vec![size]),
            Kind::Crossed => (vec![draw(size / 2 + 1), draw(size)], vec![size / 2 + 1, size]),
            Kind::ThreeCrossed => (vec![draw(3), draw(size), draw(size / 3 + 1)], vec![3, size, size / 3 + 1]),
            Kind::Nested => {
                let finest = draw(size * 6);
                let middle = finest.iter().map(|code| code / 3).collect();
                let coarse = finest.iter().map(|code| code / 6).collect();
                (vec![coarse, finest, middle], vec![size, size * 6, size * 2])
            }
            Kind::NestedAndCrossed => {
                let fine = draw(size * 3);
                let coarse = fine.iter().map(|code| code / 3).collect();
                (vec![fine, draw(size / 2 + 1), coarse], vec![size * 3, size / 2 + 1, size])
            }
            Kind::Observation => (vec![draw(size), (0..n as u32).collect()], vec![size, n]),
        };
        let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0x5eed);
        let mut column = |first: bool| -> Vec<f64> {
            (0..n).map(|_| if first { 1.0 } else { rng.random_range(-1.5..1.5) }).collect()
        };
        let columns =
            (0..codes.len()).map(|f| (0..widths[f % widths.len()]).map(|j| column(j == 0)).collect()).collect();
        let x = (0..p).map(|j| column(j == 0)).collect();
        Self { n, codes, levels, columns, x, rng }
    }

    pub fn widths(&self) -> Vec<usize> {
        self.columns.iter().map(Vec::len).collect()
    }

    pub fn z(&self) -> Dense {
        let widths = self.widths();
        let q: usize = (0..self.levels.len()).map(|f| self.levels[f] * widths[f]).sum();
        let mut z = Dense::zeros(self.n, q);
        let mut offset = 0;
        for f in 0..self.levels.len() {
            for i in 0..self.n {
                for (j, column) in self.columns[f].iter().enumerate() {
                    z.set(i, offset + self.codes[f][i] as usize * widths[f] + j, column[i]);
                }
            }
            offset += self.levels[f] * widths[f];
        }
        z
    }

    pub fn x(&self) -> Dense {
        Dense { rows: self.n, columns: self.x.len(), values: self.x.concat() }
    }

    pub fn normal(&mut self) -> f64 {
        // A sum of uniforms is normal enough to test arithmetic with.
        (0..12).map(|_| self.rng.random_range(0.0..1.0)).sum::<f64>() - 6.0
    }
}

/// The block-diagonal matrix that repeats each small factor (p_f x r_f) over the levels.
pub fn expanded(levels: &[usize], widths: &[usize], ranks: &[usize], factors: &[Vec<f64>]) -> Dense {
    let total = |sizes: &[usize]| -> usize { levels.iter().zip(sizes).map(|(l, s)| l * s).sum() };
    let mut out = Dense::zeros(total(widths), total(ranks));
    let (mut row, mut column) = (0, 0);
    for f in 0..levels.len() {
        for _ in 0..levels[f] {
            for b in 0..ranks[f] {
                for a in 0..widths[f] {
                    out.set(row + a, column + b, factors[f][b * widths[f] + a]);
                }
            }
            row += widths[f];
            column += ranks[f];
        }
    }
    out
}

impl Layout {
    /// The grouping factors as the engine takes them.
    pub fn groupings(&self) -> Vec<Grouping> {
        (0..self.levels.len())
            .map(|f| Grouping {
                codes: self.codes[f].clone(),
                levels: self.levels[f],
                columns: self.columns[f]
                    .iter()
                    .map(|column| {
                        if column.iter().all(|&value| value == 1.0) {
                            Column::One
                        } else {
                            Column::Values(column.clone())
                        }
                    })
                    .collect(),
                predictors: vec![0; self.columns[f].len()],
            })
            .collect()
    }

    /// One term for each grouping factor, all of one structure.
    pub fn template(&self, structure: &str) -> Template {
        let terms = self.columns.iter().enumerate();
        let terms = terms.map(|(f, columns)| (covariance::build(structure, columns.len()).expect("known"), f));
        Template::new(terms.collect(), self.levels.len())
    }

    /// A response with random effects of unit size, and positive weights and an offset to go with it.
    pub fn response(&mut self) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
        let z = self.z();
        let effects: Vec<f64> = (0..z.columns).map(|_| self.normal()).collect();
        let mean = z.times(&Dense::from(z.columns, 1, &effects)).values;
        let x = self.x();
        let y = (0..self.n)
            .map(|i| mean[i] + (0..x.columns).map(|j| (j as f64 + 1.0) * x.at(i, j)).sum::<f64>() + self.normal())
            .collect();
        let weights = (0..self.n).map(|_| self.rng.random_range(0.3..3.0)).collect();
        let offset = (0..self.n).map(|_| self.rng.random_range(-2.0..2.0)).collect();
        (y, weights, offset)
    }
}

/// What generalised least squares says with V = W^{-1} + Z Sigma Z' (relative to sigma^2).
pub struct Gls {
    pub beta: Vec<f64>,
    pub vcov_unscaled: Dense,
    pub r2: f64,
    /// -2 log likelihood (or REML criterion) with sigma^2 = r2 / (n or n - p).
    pub criterion: f64,
    /// V^{-1} (y - X beta).
    pub weighted_residual: Dense,
}

/// Straight from the definition: log|V| + r' V^{-1} r with n x n matrices.
pub fn gls(layout: &Layout, lambda: &Dense, y: &[f64], weights: Option<&[f64]>, reml: bool) -> Gls {
    let (n, x) = (layout.n, layout.x());
    let a = layout.z().times(lambda);
    let mut v = a.times(&a.transposed());
    for i in 0..n {
        v.set(i, i, v.at(i, i) + weights.map_or(1.0, |w| 1.0 / w[i]));
    }
    let (vx, y) = (v.solve(&x), Dense::from(n, 1, y));
    let information = x.transposed().times(&vx);
    let beta = information.solve(&vx.transposed().times(&y));
    let residual = y.plus(-1.0, &x.times(&beta));
    let weighted_residual = v.solve(&residual);
    let r2 = residual.transposed().times(&weighted_residual).values[0];
    let m = (n - if reml { x.columns } else { 0 }) as f64;
    let determinants = v.log_det() + if reml { information.log_det() } else { 0.0 };
    let criterion = determinants + m * (1.0 + (2.0 * std::f64::consts::PI * r2 / m).ln());
    Gls { beta: beta.values, vcov_unscaled: information.inverse(), r2, criterion, weighted_residual }
}
