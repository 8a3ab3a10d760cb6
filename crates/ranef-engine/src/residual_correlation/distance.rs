//! Correlations that fall with the distance between rows: R_ij = (1 - nugget) f(d_ij / range), i not j.
//!
//! x = log(range), and logit(nugget) where there is one.
use super::{Parameter, Places, Scale, logistic};

/// A correlation that depends on d / range; `f` gives its value at the square of that, and its derivative with respect
/// to log(range).
#[derive(Debug)]
pub struct Decay {
    distance: f64,
    nugget: bool,
    f: fn(f64) -> (f64, f64),
}

impl Decay {
    /// For rows of a group that are typically so far apart.
    pub fn new(distance: f64, nugget: bool, f: fn(f64) -> (f64, f64)) -> Self {
        Self { distance, nugget, f }
    }

    pub fn n_parameters(&self) -> usize {
        1 + usize::from(self.nugget)
    }

    pub fn start(&self) -> Vec<f64> {
        let mut start = vec![(self.distance / 3.0).ln()];
        if self.nugget {
            // A nugget of a tenth.
            start.push(-(9.0_f64.ln()));
        }
        start
    }

    fn kept(&self, x: &[f64]) -> f64 {
        if self.nugget { logistic(-x[1]) } else { 1.0 }
    }

    pub fn correlation_into(&self, x: &[f64], places: Places<'_>, r: &mut [f64]) {
        let (range, kept) = (x[0].exp(), self.kept(x));
        places.fill(r, 1.0, |i, j| kept * (self.f)(square(places, i, j) / (range * range)).0);
    }

    pub fn derivative_into(&self, x: &[f64], places: Places<'_>, k: usize, derivative: &mut [f64]) {
        let (range, kept) = (x[0].exp(), self.kept(x));
        let slope = if k == 0 { kept } else { -kept * logistic(x[1]) };
        places.fill(derivative, 0.0, |i, j| {
            let (value, along) = (self.f)(square(places, i, j) / (range * range));
            slope * if k == 0 { along } else { value }
        });
    }

    pub fn parameters(&self) -> Vec<Parameter> {
        let mut found = vec![Parameter::new("range", Scale::Log)];
        if self.nugget {
            found.push(Parameter::new("nugget", Scale::Logit));
        }
        found
    }

    pub fn natural(&self, x: &[f64]) -> Vec<f64> {
        let mut found = vec![x[0].exp()];
        if self.nugget {
            found.push(logistic(x[1]));
        }
        found
    }
}

/// The square of the Euclidean distance between two rows.
fn square(places: Places<'_>, i: usize, j: usize) -> f64 {
    places.of(i).iter().zip(places.of(j)).map(|(a, b)| (a - b) * (a - b)).sum()
}

/// The methods of a structure that is a [`Decay`] in its only field.
macro_rules! decays {
    ($name:ident) => {
        impl super::ResidualCorrelation for $name {
            fn card(&self) -> &'static super::Card {
                &CARD
            }

            fn n_parameters(&self) -> usize {
                self.0.n_parameters()
            }

            fn start(&self) -> Vec<f64> {
                self.0.start()
            }

            fn correlation_into(&self, x: &[f64], places: super::Places<'_>, r: &mut [f64]) {
                self.0.correlation_into(x, places, r);
            }

            fn derivative_into(&self, x: &[f64], places: super::Places<'_>, k: usize, derivative: &mut [f64]) {
                self.0.derivative_into(x, places, k, derivative);
            }

            fn parameters(&self) -> Vec<super::Parameter> {
                self.0.parameters()
            }

            fn natural(&self, x: &[f64]) -> Vec<f64> {
                self.0.natural(x)
            }
        }
    };
}
pub(super) use decays;
