//! Gaussian: R_ij = (1 - nugget) exp(-(d_ij / range)^2), d the Euclidean distance of the coordinates.
use super::Card;
use super::distance::{Decay, decays};

pub static CARD: Card = Card {
    name: "gau",
    title: "Gaussian: falls with the squared distance of the coordinates",
    parameters: "range, and nugget where asked for",
    places: "coordinates",
    reference: "Cressie (1993), Statistics for Spatial Data, section 2.3.1",
};

/// exp(-(d / range)^2).
#[derive(Debug)]
pub struct Gaussian(Decay);

impl Gaussian {
    /// For rows of a group that are typically so far apart.
    pub fn new(distance: f64, nugget: bool) -> Self {
        Self(Decay::new(distance, nugget, |square| ((-square).exp(), 2.0 * square * (-square).exp())))
    }
}

decays!(Gaussian);
