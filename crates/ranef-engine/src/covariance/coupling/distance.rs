//! Correlation that falls with the distance between places: exponential, Gaussian, Matern.
//!
//! ```text
//! exp:  exp(-d / range)          gau:  exp(-(d / range)^2)
//! mat:  2^(1-nu) / Gamma(nu) (d / range)^nu K_nu(d / range)
//! ```
//!
//! theta: log range, and for `mat` log nu (the smoothness).
//!
//! Reference: Diggle & Ribeiro (2007), Model-based Geostatistics, section 3.4.
use super::{Correlation, Coupling, Form, Scale, ShapeParameter};
use crate::covariance::Card;
use crate::special::{Matern, MaternTable};
use rayon::prelude::*;

pub static EXP: Card = Card {
    name: "exp",
    title: "exponential in distance: correlation exp(-d / range)",
    parameters: "2",
    reference: "Diggle & Ribeiro (2007), Model-based Geostatistics, section 3.4",
};

pub static GAU: Card = Card {
    name: "gau",
    title: "Gaussian in distance: correlation exp(-(d / range)^2)",
    parameters: "2",
    reference: "Diggle & Ribeiro (2007), Model-based Geostatistics, section 3.4",
};

pub static MAT: Card = Card {
    name: "mat",
    title: "Matern in distance, with its smoothness estimated",
    parameters: "3",
    reference: "Diggle & Ribeiro (2007), Model-based Geostatistics, section 3.4.1",
};

/// How correlation falls with distance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernel {
    /// exp(-d / range).
    Exponential,
    /// exp(-(d / range)^2).
    Gaussian,
    /// Matern.
    Matern,
}

static RANGE: &[ShapeParameter] = &[ShapeParameter { name: "range", scale: Scale::Log }];
static RANGE_SMOOTHNESS: &[ShapeParameter] =
    &[ShapeParameter { name: "range", scale: Scale::Log }, ShapeParameter { name: "smoothness", scale: Scale::Log }];

/// What is added to the Gaussian kernel's diagonal: its correlations alone are singular to working precision.
const JITTER: f64 = 1e-10;

/// Columns that one thread fills at least.
const PARALLEL: usize = 16;

/// Places in blocks: places of different blocks are independent.
#[derive(Debug)]
pub struct Distance {
    kernel: Kernel,
    blocks: Vec<usize>,
    /// For each block all distances, column-major.
    distances: Vec<Vec<f64>>,
    typical: f64,
    /// The smallest distance that is not zero, and the largest.
    ends: (f64, f64),
    /// Number of pairs.
    pairs: f64,
}

/// The Matern correlation, computed or looked up.
enum Smooth {
    Exact(Matern),
    Table(MaternTable),
}

impl Smooth {
    fn value(&self, x: f64) -> f64 {
        match self {
            Self::Table(table) if x > 0.0 => table.value(x),
            Self::Table(_) => 1.0,
            Self::Exact(matern) => matern.value(x),
        }
    }

    fn slopes(&self, x: f64) -> (f64, f64) {
        match self {
            Self::Table(table) if x > 0.0 => table.slopes(x),
            Self::Table(_) => (0.0, 0.0),
            Self::Exact(matern) => matern.slopes(x),
        }
    }
}

impl Distance {
    /// For levels in the order of their blocks; `coordinates` has one value after another for each dimension.
    pub fn new(kernel: Kernel, blocks: Vec<usize>, coordinates: &[Vec<f64>]) -> Self {
        let between =
            |i: usize, j: usize| coordinates.iter().map(|x| (x[i] - x[j]) * (x[i] - x[j])).sum::<f64>().sqrt();
        let distances: Vec<Vec<f64>> = blocks
            .windows(2)
            .map(|block| {
                let (a, s) = (block[0], block[1] - block[0]);
                let mut all = vec![0.0; s * s];
                all.par_chunks_exact_mut(s.max(1)).with_min_len(PARALLEL).enumerate().for_each(|(j, column)| {
                    column.iter_mut().enumerate().for_each(|(i, d)| *d = between(a + i, a + j));
                });
                all
            })
            .collect();
        let (mut sum, mut count) = (0.0, 0.0);
        for (all, block) in distances.iter().zip(blocks.windows(2)) {
            sum += all.iter().sum::<f64>();
            count += ((block[1] - block[0]) * (block[1] - block[0]).saturating_sub(1)) as f64;
        }
        let typical = if sum > 0.0 { sum / count } else { 1.0 };
        let apart = distances.iter().flatten().copied().filter(|d| *d > 0.0);
        let ends = apart.fold((f64::INFINITY, 0.0_f64), |(low, high), d| (low.min(d), high.max(d)));
        Self { kernel, blocks, distances, typical, ends, pairs: 0.5 * count }
    }

    fn matern(&self, theta: &[f64]) -> Smooth {
        let (matern, inverse) = (Matern::new(theta[1].exp()), (-theta[0]).exp());
        let (least, most) = (self.ends.0 * inverse, self.ends.1 * inverse);
        let worth = least > 0.0 && most.is_finite() && 4.0 * MaternTable::size(least, most) < self.pairs;
        if worth { Smooth::Table(MaternTable::new(&matern, least, most)) } else { Smooth::Exact(matern) }
    }
}

impl Coupling for Distance {
    fn levels(&self) -> usize {
        self.blocks.last().copied().unwrap_or(0)
    }

    fn parameters(&self) -> &'static [ShapeParameter] {
        if self.kernel == Kernel::Matern { RANGE_SMOOTHNESS } else { RANGE }
    }

    fn start(&self) -> Vec<f64> {
        // A third of the mean distance: neither independence nor one common value.
        let range = (self.typical / 3.0).ln();
        if self.kernel == Kernel::Matern { vec![range, 0.0] } else { vec![range] }
    }

    fn natural(&self, theta: &[f64], m: usize) -> (f64, f64) {
        (theta[m].exp(), theta[m].exp())
    }

    fn theta_of(&self, natural: f64, _m: usize) -> f64 {
        natural.ln()
    }

    fn form(&self) -> Form<'_> {
        Form::Correlation(self)
    }
}

impl Correlation for Distance {
    fn blocks(&self) -> &[usize] {
        &self.blocks
    }

    fn values_into(&self, theta: &[f64], block: usize, out: &mut [f64]) {
        let s = self.blocks[block + 1] - self.blocks[block];
        let inverse = (-theta[0]).exp();
        let matern = (self.kernel == Kernel::Matern).then(|| self.matern(theta));
        let columns = out.par_chunks_exact_mut(s.max(1)).zip(self.distances[block].par_chunks_exact(s.max(1)));
        columns.with_min_len(PARALLEL).enumerate().for_each(|(j, (column, distances))| {
            for (value, d) in column[j + 1..].iter_mut().zip(&distances[j + 1..]) {
                let x = d * inverse;
                *value = match &matern {
                    Some(matern) => matern.value(x),
                    None if self.kernel == Kernel::Gaussian => (-x * x).exp(),
                    None => (-x).exp(),
                };
            }
            column[j] = if self.kernel == Kernel::Gaussian { 1.0 + JITTER } else { 1.0 };
        });
    }

    fn derivatives_into(&self, theta: &[f64], block: usize, out: &mut [Vec<f64>]) {
        let s = self.blocks[block + 1] - self.blocks[block];
        let inverse = (-theta[0]).exp();
        let distances = &self.distances[block];
        if self.kernel == Kernel::Matern {
            let matern = self.matern(theta);
            let [range, smoothness] = out else { unreachable!("two parameters") };
            let columns = range.par_chunks_exact_mut(s.max(1)).zip(smoothness.par_chunks_exact_mut(s.max(1)));
            columns.zip(distances.par_chunks_exact(s.max(1))).with_min_len(PARALLEL).enumerate().for_each(
                |(j, ((range, smoothness), distances))| {
                    for i in j + 1..s {
                        let slopes = matern.slopes(distances[i] * inverse);
                        range[i] = -slopes.0;
                        smoothness[i] = slopes.1;
                    }
                    (range[j], smoothness[j]) = (0.0, 0.0);
                },
            );
        } else {
            for (value, d) in out[0].iter_mut().zip(distances) {
                let x = d * inverse;
                *value = if self.kernel == Kernel::Gaussian { 2.0 * x * x * (-x * x).exp() } else { x * (-x).exp() };
            }
        }
        for matrix in out {
            for j in 0..s {
                for i in j + 1..s {
                    matrix[i * s + j] = matrix[j * s + i];
                }
            }
        }
    }
}
