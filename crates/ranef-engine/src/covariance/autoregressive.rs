//! First-order autoregression over equally spaced occasions; `ar1(0 + time | g)` with one variance, `hetar1` with one for
//! each occasion.
//!
//! The correlation of occasions k steps apart is phi^k, phi = sin a. The Cholesky factor is
//!
//! ```text
//! C_i0 = phi^i ,    C_ij = phi^(i-j) cos a    (i >= j > 0) ,
//! ```
//!
//! each occasion being phi times the one before and an innovation with standard deviation cos a.
use super::Card;
use super::angle::{edge, sine_cosine, with_positive_cosine};
use super::scaled::Correlation;

pub static CARD: Card = Card {
    name: "ar1",
    title: "first-order autoregression: one variance, correlation phi^k at lag k",
    parameters: "2",
    reference: "Pinheiro & Bates (2000), Mixed-Effects Models in S and S-PLUS, section 5.3.1",
};

pub static HETEROGENEOUS: Card = Card {
    name: "hetar1",
    title: "first-order autoregression with a variance for each occasion",
    parameters: "p+1",
    reference: "Pinheiro & Bates (2000), Mixed-Effects Models in S and S-PLUS, section 5.3.1",
};

/// Correlation phi^k at lag k.
#[derive(Debug)]
pub struct Autoregressive {
    size: usize,
}

impl Autoregressive {
    /// For `size` occasions.
    pub fn new(size: usize) -> Self {
        Self { size }
    }
}

impl Correlation for Autoregressive {
    fn size(&self) -> usize {
        self.size
    }

    fn n_angles(&self) -> usize {
        usize::from(self.size > 1)
    }

    fn independent(&self) -> Vec<f64> {
        vec![0.0; self.n_angles()]
    }

    fn cholesky_into(&self, angles: &[f64], factor: &mut [f64]) {
        let (phi, c) = angles.first().map_or((0.0, 1.0), |&angle| sine_cosine(angle));
        factor.fill(0.0);
        for (j, column) in factor.chunks_exact_mut(self.size).enumerate() {
            let mut value = if j == 0 { 1.0 } else { c };
            for entry in &mut column[j..] {
                *entry = value;
                value *= phi;
            }
        }
    }

    fn derivative_into(&self, angles: &[f64], _m: usize, derivative: &mut [f64]) {
        let (phi, c) = sine_cosine(angles[0]);
        derivative.fill(0.0);
        for (j, column) in derivative.chunks_exact_mut(self.size).enumerate() {
            // phi^k and its derivative k phi^(k-1) cos a.
            let (mut power, mut slope) = (1.0, 0.0);
            for entry in &mut column[j..] {
                *entry = if j == 0 { slope } else { slope * c - power * phi };
                (power, slope) = (power * phi, slope * phi + power * c);
            }
        }
    }

    fn angles_of(&self, factor: &[f64]) -> Vec<f64> {
        let p = self.size;
        if p == 1 {
            return Vec::new();
        }
        let known = |i: usize| factor.chunks_exact(p).any(|column| column[i] != 0.0);
        // A row is phi times the row before it, but for the innovation in its last entry.
        let pair = (1..p).find(|&i| known(i - 1) && known(i));
        vec![pair.map_or(0.0, |i| {
            let phi: f64 = factor.chunks_exact(p).map(|column| column[i - 1] * column[i]).sum();
            phi.atan2(factor[i * p + i].abs())
        })]
    }

    fn canonical(&self, angles: &mut [f64]) {
        angles.iter_mut().for_each(|angle| *angle = with_positive_cosine(*angle));
    }

    fn edge(&self, angle: f64) -> f64 {
        edge(angle)
    }

    fn pairs(&self) -> Vec<(usize, usize)> {
        vec![(0, 1); self.n_angles()]
    }

    fn hold(&self, _m: usize, value: f64, angles: &mut [f64]) {
        angles[0] = value.asin();
    }
}
