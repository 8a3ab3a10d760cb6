//! First-order autoregression in continuous time: R_ij = phi^|t_i - t_j|, 0 < phi < 1.
//!
//! x = log(-log phi), which a change of the unit of time only shifts.
use super::{Card, Parameter, Places, ResidualCorrelation, Scale};

pub static CARD: Card = Card {
    name: "car1",
    title: "autoregressive of order 1 in continuous time",
    parameters: "phi",
    places: "number",
    reference: "Jones (1993), Longitudinal Data with Serial Correlation, section 3.3",
};

/// phi^|t_i - t_j|.
#[derive(Debug)]
pub struct ContinuousAutoregressive {
    distance: f64,
}

impl ContinuousAutoregressive {
    /// For rows of a group that are typically so far apart.
    pub fn new(distance: f64) -> Self {
        Self { distance }
    }
}

impl ResidualCorrelation for ContinuousAutoregressive {
    fn card(&self) -> &'static Card {
        &CARD
    }

    fn n_parameters(&self) -> usize {
        1
    }

    fn start(&self) -> Vec<f64> {
        // A correlation of a half at a third of the typical distance.
        vec![(3.0 * std::f64::consts::LN_2 / self.distance).ln()]
    }

    fn correlation_into(&self, x: &[f64], places: Places<'_>, r: &mut [f64]) {
        let rate = x[0].exp();
        places.fill(r, 1.0, |i, j| (-rate * (places.values[i] - places.values[j]).abs()).exp());
    }

    fn derivative_into(&self, x: &[f64], places: Places<'_>, _k: usize, derivative: &mut [f64]) {
        let rate = x[0].exp();
        places.fill(derivative, 0.0, |i, j| {
            let distance = rate * (places.values[i] - places.values[j]).abs();
            -distance * (-distance).exp()
        });
    }

    fn parameters(&self) -> Vec<Parameter> {
        vec![Parameter::new("phi", Scale::Logit)]
    }

    fn natural(&self, x: &[f64]) -> Vec<f64> {
        vec![(-x[0].exp()).exp()]
    }
}
