//! Correlation structures of the residuals within a group: from unconstrained parameters x to the matrix R of the rows
//! of one group, given where these rows stand (their times, occasions or coordinates).
//!
//! A structure owns its parameters: how many there are, how they make R, the derivatives of R, where to start, what
//! they are called, and what they are on the scale on which people speak of them (phi, rho, range, nugget). R has a
//! unit diagonal; every x gives a correlation matrix, so that no bounds are needed.

mod autoregressive;
mod autoregressive_moving_average;
mod compound_symmetric;
mod continuous_autoregressive;
mod distance;
mod exponential;
mod gaussian;
mod unstructured;

use std::fmt::Debug;

/// What is known about a structure before any data are seen.
#[derive(Debug)]
pub struct Card {
    /// The name used in `correlation=`, as in `ar1(time | g)`.
    pub name: &'static str,
    /// A short description for people.
    pub title: &'static str,
    /// The parameters as text.
    pub parameters: &'static str,
    /// What the rows' places are: "none", "integer" (occasions that are counted), "number" (one number), "occasion"
    /// (the level of a factor of time) or "coordinates" (one number or more).
    pub places: &'static str,
    /// Where the structure is described.
    pub reference: &'static str,
}

/// What a structure is built from.
#[derive(Clone, Debug, Default)]
pub struct Shape {
    /// Orders (p, q) of an autoregressive moving average.
    pub orders: (usize, usize),
    /// Whether part of the variance is the row's own.
    pub nugget: bool,
    /// Number of occasions of an unstructured matrix.
    pub occasions: usize,
    /// Rows of the largest group.
    pub largest: usize,
    /// A distance between rows of a group that is typical: 1 where there is none.
    pub distance: f64,
}

/// A catalogue line: the card and the constructor.
pub struct Entry {
    /// The structure's card.
    pub card: &'static Card,
    /// Builds the structure.
    pub build: fn(&Shape) -> Box<dyn ResidualCorrelation>,
}

/// Every correlation structure of the residuals there is.
pub static CATALOGUE: &[Entry] = &[
    Entry { card: &autoregressive::CARD, build: |_| Box::new(autoregressive::Autoregressive) },
    Entry {
        card: &autoregressive_moving_average::CARD,
        build: |shape| Box::new(autoregressive_moving_average::AutoregressiveMovingAverage::new(shape.orders)),
    },
    Entry {
        card: &continuous_autoregressive::CARD,
        build: |shape| Box::new(continuous_autoregressive::ContinuousAutoregressive::new(shape.distance)),
    },
    Entry {
        card: &compound_symmetric::CARD,
        build: |shape| Box::new(compound_symmetric::CompoundSymmetric::new(shape.largest)),
    },
    Entry { card: &unstructured::CARD, build: |shape| Box::new(unstructured::Unstructured::new(shape.occasions)) },
    Entry {
        card: &exponential::CARD,
        build: |shape| Box::new(exponential::Exponential::new(shape.distance, shape.nugget)),
    },
    Entry { card: &gaussian::CARD, build: |shape| Box::new(gaussian::Gaussian::new(shape.distance, shape.nugget)) },
];

/// The structure called `name`; `None` where the catalogue has no such name.
pub fn build(name: &str, shape: &Shape) -> Option<Box<dyn ResidualCorrelation>> {
    CATALOGUE.iter().find(|entry| entry.card.name == name).map(|entry| (entry.build)(shape))
}

/// The scale on which a parameter's estimate is closest to normal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Its own.
    Identity,
    /// Its logarithm.
    Log,
    /// log(p / (1 - p)).
    Logit,
    /// Fisher's z, atanh(r).
    Fisher,
}

impl Scale {
    /// The name used in every language.
    pub fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Log => "log",
            Self::Logit => "logit",
            Self::Fisher => "fisher",
        }
    }
}

/// A parameter as people speak of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// Its name: `phi`, `rho`, `range`; numbered where there are several.
    pub name: String,
    /// The scale of its interval.
    pub scale: Scale,
}

impl Parameter {
    /// A parameter of that name.
    pub fn new(name: impl Into<String>, scale: Scale) -> Self {
        Self { name: name.into(), scale }
    }
}

/// The rows of one group: where each stands.
#[derive(Clone, Copy, Debug)]
pub struct Places<'a> {
    /// Number of rows.
    pub rows: usize,
    /// Numbers of each row.
    pub width: usize,
    /// rows x width, row after row.
    pub values: &'a [f64],
}

impl Places<'_> {
    /// The numbers of row i.
    #[inline]
    pub fn of(&self, i: usize) -> &[f64] {
        &self.values[i * self.width..(i + 1) * self.width]
    }

    /// Writes f(i, j) to both triangles of `out`, `diagonal` on its diagonal.
    fn fill(&self, out: &mut [f64], diagonal: f64, f: impl Fn(usize, usize) -> f64) {
        let n = self.rows;
        for j in 0..n {
            out[j * n + j] = diagonal;
            for i in j + 1..n {
                let value = f(i, j);
                out[j * n + i] = value;
                out[i * n + j] = value;
            }
        }
    }
}

/// A correlation structure of the residuals.
pub trait ResidualCorrelation: Send + Sync + Debug {
    /// The structure's card.
    fn card(&self) -> &'static Card;

    /// Number of parameters.
    fn n_parameters(&self) -> usize;

    /// Where a search starts.
    fn start(&self) -> Vec<f64>;

    /// Writes R for the rows of a group, n x n column-major, both triangles.
    fn correlation_into(&self, x: &[f64], places: Places<'_>, r: &mut [f64]);

    /// Writes dR / dx_k.
    fn derivative_into(&self, x: &[f64], places: Places<'_>, k: usize, derivative: &mut [f64]);

    /// The parameters people speak of, as many as x has.
    fn parameters(&self) -> Vec<Parameter>;

    /// Their values at x.
    fn natural(&self, x: &[f64]) -> Vec<f64>;
}

/// 1 / (1 + e^-x).
pub(crate) fn logistic(x: f64) -> f64 {
    if x >= 0.0 { 1.0 / (1.0 + (-x).exp()) } else { x.exp() / (1.0 + x.exp()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linalg::dense_cholesky::factor_in_place;

    /// One structure of each kind, with the places of five rows of a group.
    fn examples() -> Vec<(Box<dyn ResidualCorrelation>, usize, Vec<f64>)> {
        let shape = |orders, nugget| Shape { orders, nugget, occasions: 6, largest: 5, distance: 1.3 };
        let (integers, times) = (vec![1.0, 2.0, 4.0, 3.0, 9.0], vec![0.1, 0.5, 2.25, 0.9, 1.0]);
        let occasions = vec![0.0, 2.0, 1.0, 5.0, 4.0];
        let plane = vec![0.0, 0.0, 1.0, 0.5, 0.3, 2.0, -1.0, 0.7, 0.4, 0.2];
        let mut found = Vec::new();
        for entry in CATALOGUE {
            let (width, places) = match entry.card.places {
                "none" => (0, Vec::new()),
                "integer" => (1, integers.clone()),
                "number" => (1, times.clone()),
                "occasion" => (1, occasions.clone()),
                _ => (2, plane.clone()),
            };
            let variants: &[((usize, usize), bool)] = match entry.card.name {
                "arma" => &[((1, 0), false), ((0, 1), false), ((1, 1), false), ((2, 1), false), ((1, 3), false)],
                "exp" | "gau" => &[((0, 0), false), ((0, 0), true)],
                _ => &[((0, 0), false)],
            };
            for &(orders, nugget) in variants {
                found.push(((entry.build)(&shape(orders, nugget)), width, places.clone()));
            }
        }
        found
    }

    fn somewhere(structure: &dyn ResidualCorrelation, shift: f64) -> Vec<f64> {
        structure.start().iter().enumerate().map(|(k, x)| x + shift * (1.0 + k as f64).sin()).collect()
    }

    #[test]
    fn every_matrix_is_a_correlation_matrix() {
        for (structure, width, values) in examples() {
            for shift in [-1.5, 0.0, 0.4, 2.0] {
                let mut r = vec![f64::NAN; 25];
                let x = somewhere(&*structure, shift);
                structure.correlation_into(&x, Places { rows: 5, width, values: &values }, &mut r);
                for i in 0..5 {
                    assert_eq!(r[i * 5 + i], 1.0, "{structure:?}");
                    for j in 0..i {
                        assert_eq!(r[i * 5 + j], r[j * 5 + i], "{structure:?}");
                        assert!(r[i * 5 + j].abs() <= 1.0, "{structure:?}");
                    }
                }
                factor_in_place(&mut r, 5).unwrap_or_else(|pivot| panic!("{structure:?} at {x:?}: pivot {pivot}"));
            }
        }
    }

    #[test]
    fn derivatives_are_those_of_differences() {
        for (structure, width, values) in examples() {
            let places = Places { rows: 5, width, values: &values };
            let x = somewhere(&*structure, 0.7);
            assert_eq!(x.len(), structure.n_parameters());
            for k in 0..x.len() {
                let mut exact = vec![f64::NAN; 25];
                structure.derivative_into(&x, places, k, &mut exact);
                let at = |shift: f64| {
                    let (mut moved, mut r) = (x.clone(), vec![0.0; 25]);
                    moved[k] += shift;
                    structure.correlation_into(&moved, places, &mut r);
                    r
                };
                // Rounding 1e-16 / 1e-5 and truncation 1e-10 of a smooth function of size one.
                let h = 1e-5;
                for ((above, below), exact) in at(h).iter().zip(at(-h)).zip(&exact) {
                    let difference = (above - below) / (2.0 * h);
                    assert!((difference - exact).abs() < 1e-8, "{structure:?} x_{k}: {difference} {exact}");
                }
            }
        }
    }

    #[test]
    fn every_parameter_has_a_name_of_its_own_and_a_value_inside_its_scale() {
        for (structure, _, _) in examples() {
            let (parameters, natural) = (structure.parameters(), structure.natural(&somewhere(&*structure, 0.5)));
            assert_eq!(parameters.len(), structure.n_parameters(), "{structure:?}");
            assert_eq!(natural.len(), parameters.len(), "{structure:?}");
            for (i, (parameter, value)) in parameters.iter().zip(natural).enumerate() {
                assert!(parameters[..i].iter().all(|other| other.name != parameter.name), "{structure:?}");
                match parameter.scale {
                    Scale::Identity => assert!(value.is_finite()),
                    Scale::Log => assert!(value > 0.0),
                    Scale::Logit => assert!(0.0 < value && value < 1.0),
                    Scale::Fisher => assert!(value.abs() < 1.0),
                }
            }
        }
    }
}
