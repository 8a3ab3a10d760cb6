//! Compound symmetry: all columns equally correlated; `cs(x | g)`, and `homcs(x | g)` with equal variances too.
//!
//! The correlation rho lies between -1/(p-1) and 1. With an angle a,
//!
//! ```text
//! rho = cos^2 a - sin^2 a / (p - 1) ,    1 - rho = k^2 sin^2 a ,    1 + (p - 1) rho = p cos^2 a ,    k^2 = p / (p - 1) ,
//! ```
//!
//! so that both edges are ordinary points. The Cholesky factor is constant below the diagonal of each column: with
//! e_j = 1 + j rho = (1 + j) cos^2 a + (1 - j / (p - 1)) sin^2 a, for j > 0
//!
//! ```text
//! d_j = k sin a sqrt(e_j / e_(j-1)) ,    o_j = rho k sin a / sqrt(e_j e_(j-1)) ,    sqrt(e_(p-1)) = sqrt(p) cos a ,
//! ```
//!
//! and d_0 = 1, o_0 = rho.
use super::angle::sine_cosine;
use super::scaled::Correlation;
use super::{Card, pattern_of};
use std::f64::consts::FRAC_PI_2;

pub static CARD: Card = Card {
    name: "cs",
    title: "compound symmetry: a variance for each column, one correlation",
    parameters: "p+1",
    reference: "Pinheiro & Bates (2000), Mixed-Effects Models in S and S-PLUS, section 5.3.1",
};

pub static HOMOGENEOUS: Card = Card {
    name: "homcs",
    title: "homogeneous compound symmetry: one variance, one correlation",
    parameters: "2",
    reference: "Pinheiro & Bates (2000), Mixed-Effects Models in S and S-PLUS, section 5.3.1",
};

/// One correlation for all pairs of columns.
#[derive(Debug)]
pub struct Exchangeable {
    size: usize,
}

/// C and dC/da: for each column the diagonal and what stands below it.
struct Columns {
    diagonal: Vec<f64>,
    below: Vec<f64>,
}

impl Exchangeable {
    /// For a block of `size` columns.
    pub fn new(size: usize) -> Self {
        Self { size }
    }

    /// The columns of C, or of its derivative.
    fn columns(&self, angle: f64, derivative: bool) -> Columns {
        let p = self.size as f64;
        let ((s, c), k) = (sine_cosine(angle), (p / (p - 1.0)).sqrt());
        let rho = c * c - s * s / (p - 1.0);
        let slope = -2.0 * k * k * s * c;
        let e = |j: usize| (1.0 + j as f64) * c * c + (1.0 - j as f64 / (p - 1.0)) * s * s;
        let last = self.size - 1;
        let (mut diagonal, mut below) = (vec![0.0; self.size], vec![0.0; self.size]);
        (diagonal[0], below[0]) = if derivative { (0.0, slope) } else { (1.0, rho) };
        for j in 1..=last {
            let (before, now) = (e(j - 1), e(j));
            // d log e_(j-1) / da.
            let before_slope = (j - 1) as f64 * slope / before;
            if j == last {
                let scale = k * p.sqrt() / before.sqrt();
                diagonal[j] =
                    if derivative { scale * (c * c - s * s - 0.5 * s * c * before_slope) } else { scale * s * c };
                break;
            }
            let now_slope = j as f64 * slope / now;
            let (ratio, root) = ((now / before).sqrt(), (now * before).sqrt());
            if derivative {
                diagonal[j] = k * ratio * (c + 0.5 * s * (now_slope - before_slope));
                below[j] = k / root * (slope * s + rho * c - 0.5 * rho * s * (now_slope + before_slope));
            } else {
                diagonal[j] = k * s * ratio;
                below[j] = k * s * rho / root;
            }
        }
        Columns { diagonal, below }
    }

    fn write(&self, columns: &Columns, out: &mut [f64]) {
        out.fill(0.0);
        for (j, column) in out.chunks_exact_mut(self.size).enumerate() {
            column[j] = columns.diagonal[j];
            column[j + 1..].fill(columns.below[j]);
        }
    }
}

impl Correlation for Exchangeable {
    fn size(&self) -> usize {
        self.size
    }

    fn n_angles(&self) -> usize {
        usize::from(self.size > 1)
    }

    fn independent(&self) -> Vec<f64> {
        let k = ((self.size as f64 - 1.0) / self.size as f64).sqrt();
        vec![k.asin(); self.n_angles()]
    }

    fn cholesky_into(&self, angles: &[f64], factor: &mut [f64]) {
        match angles.first() {
            Some(&angle) => self.write(&self.columns(angle, false), factor),
            None => factor.fill(1.0),
        }
    }

    fn derivative_into(&self, angles: &[f64], _m: usize, derivative: &mut [f64]) {
        self.write(&self.columns(angles[0], true), derivative);
    }

    fn angles_of(&self, factor: &[f64]) -> Vec<f64> {
        let p = self.size;
        let row = |i: usize| -> Vec<f64> { factor.chunks_exact(p).map(|column| column[i]).collect() };
        let rows: Vec<Vec<f64>> = (0..p).map(row).filter(|row| row.iter().any(|value| *value != 0.0)).collect();
        if rows.len() < 2 {
            return self.independent();
        }
        // |x - y|^2 = 2 (1 - rho) and |sum x|^2 = p (1 + (p - 1) rho), without cancellation at either edge.
        let apart: f64 = rows[0].iter().zip(&rows[1]).map(|(a, b)| (a - b) * (a - b)).sum();
        let sine = (0.5 * apart * (p as f64 - 1.0) / p as f64).sqrt();
        let cosine = if rows.len() == p {
            (0..p).map(|k| rows.iter().map(|row| row[k]).sum::<f64>().powi(2)).sum::<f64>().sqrt() / p as f64
        } else {
            (1.0 - sine * sine).max(0.0).sqrt()
        };
        vec![sine.atan2(cosine)]
    }

    fn canonical(&self, angles: &mut [f64]) {
        for angle in angles {
            let (s, c) = sine_cosine(*angle);
            *angle = s.abs().atan2(c.abs());
        }
    }

    fn edge(&self, angle: f64) -> f64 {
        (angle / FRAC_PI_2).round() * FRAC_PI_2
    }

    fn pairs(&self) -> Vec<(usize, usize)> {
        vec![(0, 1); self.n_angles()]
    }

    fn patterns(&self) -> Option<Vec<Vec<f64>>> {
        let alike = [true, false].map(|same| pattern_of(self.size, |a, b| (a == b) == same));
        Some(alike.into_iter().take(self.size.min(2)).collect())
    }

    fn hold(&self, _m: usize, value: f64, angles: &mut [f64]) {
        let p = self.size as f64;
        angles[0] = ((1.0 - value) * (p - 1.0) / p).sqrt().asin();
    }
}
