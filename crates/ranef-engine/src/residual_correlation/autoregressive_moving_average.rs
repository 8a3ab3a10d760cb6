//! Autoregressive moving average over counted occasions: R_ij = rho(|t_i - t_j|), rho the autocorrelations of
//!
//! ```text
//! e_t = phi_1 e_(t-1) + ... + phi_p e_(t-p) + a_t + theta_1 a_(t-1) + ... + theta_q a_(t-q)
//! ```
//!
//! With psi the weights of e in a, the autocovariances solve, for h = 0, ..., p,
//!
//! ```text
//! gamma(h) - sum_k phi_k gamma(|h - k|) = sum_(j >= h) theta_j psi_(j - h) ,   theta_0 = 1
//! ```
//!
//! and follow from the same equation beyond. phi and theta come from partial autocorrelations tanh(x) by the Durbin-
//! Levinson recursion, so that every x is stationary and invertible. Derivatives are those of the same arithmetic.
//!
//! Reference: Brockwell & Davis (1991), Time Series: Theory and Methods, section 3.3; Barndorff-Nielsen & Schou (1973),
//! J. Multivar. Anal. 3:408-419.
use super::autoregressive::lag;
use super::{Card, Parameter, Places, ResidualCorrelation, Scale};
use crate::jet::{Jet, Number};

pub static CARD: Card = Card {
    name: "arma",
    title: "autoregressive moving average over occasions 1, 2, 3, ...",
    parameters: "phi (p of them), theta (q of them)",
    places: "integer",
    reference: "Brockwell & Davis (1991), Time Series: Theory and Methods, section 3.3",
};

/// ARMA(p, q).
#[derive(Debug)]
pub struct AutoregressiveMovingAverage {
    p: usize,
    q: usize,
}

impl AutoregressiveMovingAverage {
    /// Of orders (p, q).
    pub fn new((p, q): (usize, usize)) -> Self {
        Self { p, q }
    }

    /// phi and theta.
    fn coefficients<T: Number>(&self, x: &[T]) -> (Vec<T>, Vec<T>) {
        let phi = levinson(&x[..self.p]);
        // 1 + theta_1 B + ... has its roots where 1 - phi_1 B - ... would have them.
        let theta = levinson(&x[self.p..]).into_iter().map(|value| -value).collect();
        (phi, theta)
    }

    /// Autocorrelations at lags 0, ..., `most`.
    fn autocorrelations<T: Number>(&self, x: &[T], most: usize) -> Vec<T> {
        let (p, q) = (self.p, self.q);
        let (phi, mut theta) = self.coefficients(x);
        theta.insert(0, T::from(1.0));
        let mut psi = theta.clone();
        for j in 1..=q {
            for k in 1..=j.min(p) {
                psi[j] = psi[j] + phi[k - 1] * psi[j - k];
            }
        }
        let shocks = |h: usize| (h..=q).fold(T::from(0.0), |sum, j| sum + theta[j] * psi[j - h]);
        let size = p + 1;
        let mut system = vec![T::from(0.0); size * size];
        for h in 0..size {
            system[h * size + h] = T::from(1.0);
            for k in 1..=p {
                let at = h * size + h.abs_diff(k);
                system[at] = system[at] - phi[k - 1];
            }
        }
        let mut gamma = solve(system, (0..size).map(shocks).collect());
        for h in size..=most {
            let past = (1..=p).fold(shocks(h), |sum, k| sum + phi[k - 1] * gamma[h - k]);
            gamma.push(past);
        }
        let variance = gamma[0];
        gamma.into_iter().map(|value| value / variance).collect()
    }
}

/// Coefficients of a stationary autoregression whose partial autocorrelations are tanh(x).
fn levinson<T: Number>(x: &[T]) -> Vec<T> {
    let mut phi: Vec<T> = Vec::with_capacity(x.len());
    for &x in x {
        // tanh, without overflow.
        let e = (if x.value() > 0.0 { -x } else { x } * 2.0).exp();
        let size = (T::from(1.0) - e) / (e + 1.0);
        let partial = if x.value() > 0.0 { size } else { -size };
        let shorter = phi.clone();
        for (value, back) in phi.iter_mut().zip(shorter.iter().rev()) {
            *value = *value - partial * *back;
        }
        phi.push(partial);
    }
    phi
}

/// Gaussian elimination with row pivoting, a by rows.
fn solve<T: Number>(mut a: Vec<T>, mut b: Vec<T>) -> Vec<T> {
    let n = b.len();
    for column in 0..n {
        let size = |row: usize| a[row * n + column].value().abs();
        let pivot = (column..n).max_by(|&i, &j| size(i).total_cmp(&size(j))).expect("rows are left");
        if pivot != column {
            (0..n).for_each(|k| a.swap(pivot * n + k, column * n + k));
            b.swap(pivot, column);
        }
        for row in column + 1..n {
            let factor = a[row * n + column] / a[column * n + column];
            for k in column..n {
                a[row * n + k] = a[row * n + k] - factor * a[column * n + k];
            }
            b[row] = b[row] - factor * b[column];
        }
    }
    for row in (0..n).rev() {
        for k in row + 1..n {
            b[row] = b[row] - a[row * n + k] * b[k];
        }
        b[row] = b[row] / a[row * n + row];
    }
    b
}

fn longest(places: Places<'_>) -> usize {
    let (low, high) = places.values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), t| (l.min(*t), h.max(*t)));
    (high - low).round().max(0.0) as usize
}

impl ResidualCorrelation for AutoregressiveMovingAverage {
    fn card(&self) -> &'static Card {
        &CARD
    }

    fn n_parameters(&self) -> usize {
        self.p + self.q
    }

    fn start(&self) -> Vec<f64> {
        // Different for phi and theta, which cancel where they are opposite.
        (0..self.n_parameters()).map(|k| if k == 0 { 0.3 } else { 0.05 }).collect()
    }

    fn correlation_into(&self, x: &[f64], places: Places<'_>, r: &mut [f64]) {
        let rho = self.autocorrelations(x, longest(places));
        places.fill(r, 1.0, |i, j| rho[lag(places, i, j) as usize]);
    }

    fn derivative_into(&self, x: &[f64], places: Places<'_>, k: usize, derivative: &mut [f64]) {
        let seeded: Vec<Jet<1, 2>> = x
            .iter()
            .enumerate()
            .map(|(m, &value)| if m == k { Jet::variable(value, 0) } else { Jet::constant(value) })
            .collect();
        let rho = self.autocorrelations(&seeded, longest(places));
        places.fill(derivative, 0.0, |i, j| rho[lag(places, i, j) as usize].first(0));
    }

    fn parameters(&self) -> Vec<Parameter> {
        let named = |word: &str, count: usize| -> Vec<Parameter> {
            match count {
                1 => vec![Parameter::new(word, Scale::Fisher)],
                _ => (1..=count).map(|k| Parameter::new(format!("{word}{k}"), Scale::Identity)).collect(),
            }
        };
        [named("phi", self.p), named("theta", self.q)].concat()
    }

    fn natural(&self, x: &[f64]) -> Vec<f64> {
        let (phi, theta) = self.coefficients(x);
        [phi, theta].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn autocorrelations_of_arma_1_1_are_the_closed_form() {
        let structure = AutoregressiveMovingAverage::new((1, 1));
        let x = [0.6, -0.3];
        let natural = structure.natural(&x);
        let (phi, theta) = (natural[0], natural[1]);
        let first = (1.0 + phi * theta) * (phi + theta) / (1.0 + 2.0 * phi * theta + theta * theta);
        for (lag, rho) in structure.autocorrelations(&x, 6).into_iter().enumerate().skip(1) {
            assert!((rho - first * phi.powi(lag as i32 - 1)).abs() < 1e-14, "{lag} {rho}");
        }
    }

    #[test]
    fn without_moving_average_it_is_the_autoregression() {
        let rho = AutoregressiveMovingAverage::new((1, 0)).autocorrelations(&[0.7], 5);
        for (lag, value) in rho.iter().enumerate() {
            assert!((value - 0.7_f64.tanh().powi(lag as i32)).abs() < 1e-15);
        }
    }
}
