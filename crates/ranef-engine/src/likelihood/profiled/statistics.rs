//! The response as the criterion sees it: a response of any length comes down to these few numbers.
use super::Profiled;
use super::data::{ProfiledError, Response};

/// With y* = W^{1/2}(y - offset) and y_o its part orthogonal to X: Z'W^{1/2}y_o, |y_o|^2 and Q'y*.
///
/// They are sufficient for all parameters, so a response may be drawn, or moved along a column, as these numbers alone.
#[derive(Clone, Debug)]
pub struct Statistics {
    /// Z'W^{1/2}y_o, over the effects of all grouping factors.
    pub zy: Vec<f64>,
    /// |y_o|^2.
    pub yy: f64,
    /// Q'y*.
    pub coefficients: Vec<f64>,
}

impl Profiled {
    /// The statistics of a response of this design.
    ///
    /// # Errors
    /// [`ProfiledError::ExactFit`] or [`ProfiledError::Response`].
    pub fn statistics_of(&self, y: &[f64]) -> Result<Statistics, ProfiledError> {
        let Response { zy, yy, coefficients } = Response::new(&self.design, y)?;
        Ok(Statistics { zy, yy, coefficients })
    }

    /// Replaces the response by one that has these statistics.
    pub fn set_statistics(&mut self, statistics: Statistics) {
        let Statistics { zy, yy, coefficients } = statistics;
        self.response = Response { zy, yy, coefficients };
        self.state = None;
    }
}
