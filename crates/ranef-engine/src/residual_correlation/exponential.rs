//! Exponential: R_ij = (1 - nugget) exp(-d_ij / range), d the Euclidean distance of the coordinates.
use super::Card;
use super::distance::{Decay, decays};

pub static CARD: Card = Card {
    name: "exp",
    title: "exponential: falls with the distance of the coordinates",
    parameters: "range, and nugget where asked for",
    places: "coordinates",
    reference: "Cressie (1993), Statistics for Spatial Data, section 2.3.1",
};

/// exp(-d / range).
#[derive(Debug)]
pub struct Exponential(Decay);

impl Exponential {
    /// For rows of a group that are typically so far apart.
    pub fn new(distance: f64, nugget: bool) -> Self {
        Self(Decay::new(distance, nugget, |square| {
            let d = square.sqrt();
            ((-d).exp(), d * (-d).exp())
        }))
    }
}

decays!(Exponential);
