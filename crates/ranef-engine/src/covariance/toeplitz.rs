//! Toeplitz: a correlation for each distance between equally spaced occasions; `toep(0 + time | g)` with a variance for
//! each occasion, `homtoep` with one.
//!
//! The coordinates are the partial autocorrelations alpha_k = sin a_k, which are free of each other: any of them in
//! [-1, 1] give a correlation matrix, and every Toeplitz correlation matrix has them. The Cholesky factor comes from the
//! lattice of the innovations by rotations alone. With x_k(i) = C_ik and y_i(i) = 0, for i = 1, 2, ... and k = i-1, ..., 0
//!
//! ```text
//! y_k(i)     = cos a_(k+1) y_(k+1)(i) + sin a_(k+1) x_k(i-1)
//! x_(k+1)(i) = cos a_(k+1) x_k(i-1)   - sin a_(k+1) y_(k+1)(i)
//! ```
//!
//! from x_0(0) = 1, and x_0(i) = y_0(i), the autocorrelation at lag i. Nothing is divided by, so a partial autocorrelation
//! of one is an ordinary point; those after it have no effect.
//!
//! Reference: Barndorff-Nielsen & Schou (1973), J. Multivariate Anal. 3, 408-419 (the parameters); Itakura & Saito (1971)
//! and Kailath (1986), in Gohberg (ed.), I. Schur Methods in Operator Theory and Signal Processing (the lattice).
use super::angle::{edge, sine_cosine, with_positive_cosine};
use super::scaled::Correlation;
use super::{Card, pattern_of};
use std::f64::consts::FRAC_PI_2;

pub static CARD: Card = Card {
    name: "toep",
    title: "Toeplitz: a variance for each occasion, a correlation for each lag",
    parameters: "2p-1",
    reference: "Barndorff-Nielsen & Schou (1973), J. Multivariate Anal. 3, 408-419",
};

pub static HOMOGENEOUS: Card = Card {
    name: "homtoep",
    title: "homogeneous Toeplitz: one variance, a correlation for each lag",
    parameters: "p",
    reference: "Barndorff-Nielsen & Schou (1973), J. Multivariate Anal. 3, 408-419",
};

/// A correlation for each lag.
#[derive(Debug)]
pub struct Lagged {
    size: usize,
}

impl Lagged {
    /// For `size` occasions.
    pub fn new(size: usize) -> Self {
        Self { size }
    }
}

impl Correlation for Lagged {
    fn size(&self) -> usize {
        self.size
    }

    fn n_angles(&self) -> usize {
        self.size - 1
    }

    fn independent(&self) -> Vec<f64> {
        vec![0.0; self.n_angles()]
    }

    fn cholesky_into(&self, angles: &[f64], factor: &mut [f64]) {
        let p = self.size;
        let rotations: Vec<(f64, f64)> = angles.iter().map(|&angle| sine_cosine(angle)).collect();
        factor.fill(0.0);
        factor[0] = 1.0;
        for i in 1..p {
            let mut y = 0.0;
            for k in (0..i).rev() {
                let ((s, c), x) = (rotations[k], factor[k * p + i - 1]);
                (factor[(k + 1) * p + i], y) = (c * x - s * y, c * y + s * x);
            }
            factor[i] = y;
        }
    }

    fn derivative_into(&self, angles: &[f64], m: usize, derivative: &mut [f64]) {
        let p = self.size;
        let mut factor = vec![0.0; p * p];
        self.cholesky_into(angles, &mut factor);
        derivative.fill(0.0);
        for i in 1..p {
            let (mut y, mut dy) = (0.0, 0.0);
            for k in (0..i).rev() {
                let ((s, c), x, dx) = (sine_cosine(angles[k]), factor[k * p + i - 1], derivative[k * p + i - 1]);
                let (mut next, mut dy_next) = (c * dx - s * dy, c * dy + s * dx);
                if k == m {
                    next += -s * x - c * y;
                    dy_next += -s * y + c * x;
                }
                derivative[(k + 1) * p + i] = next;
                (y, dy) = (c * y + s * x, dy_next);
            }
            derivative[i] = dy;
        }
    }

    fn angles_of(&self, factor: &[f64]) -> Vec<f64> {
        let p = self.size;
        let mut angles = self.independent();
        let known = |i: usize| factor.chunks_exact(p).any(|column| column[i] != 0.0);
        for i in 1..p {
            if !(0..=i).all(known) {
                break;
            }
            // The lattice upwards: y_(k+1)(i) from y_k(i) and x_k(i-1); at the top what is left of y is the new sine.
            let mut y = factor[i];
            for k in 0..i - 1 {
                let ((s, c), x) = (sine_cosine(angles[k]), factor[k * p + i - 1]);
                y = (y - s * x) / c;
            }
            let innovation = factor[i * p + i];
            if factor[(i - 1) * p + i - 1] == 0.0 || !y.is_finite() {
                break;
            }
            angles[i - 1] = y.atan2(innovation);
        }
        angles
    }

    fn canonical(&self, angles: &mut [f64]) {
        angles.iter_mut().for_each(|angle| *angle = with_positive_cosine(*angle));
    }

    fn edge(&self, angle: f64) -> f64 {
        edge(angle)
    }

    fn pairs(&self) -> Vec<(usize, usize)> {
        (1..self.size).map(|lag| (0, lag)).collect()
    }

    fn patterns(&self) -> Option<Vec<Vec<f64>>> {
        Some((0..self.size).map(|lag| pattern_of(self.size, |a, b| a.abs_diff(b) == lag)).collect())
    }

    fn hold(&self, m: usize, value: f64, angles: &mut [f64]) {
        // The autocorrelation at lag m + 1 is linear in sin a_m, given the angles before it.
        let mut factor = vec![0.0; self.size * self.size];
        let mut at = |angle: f64, angles: &mut [f64]| {
            angles[m] = angle;
            self.cholesky_into(angles, &mut factor);
            factor[m + 1]
        };
        let (middle, top) = (at(0.0, angles), at(FRAC_PI_2, angles));
        angles[m] = ((value - middle) / (top - middle)).asin();
    }
}
