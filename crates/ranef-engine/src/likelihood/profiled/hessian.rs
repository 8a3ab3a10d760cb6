//! The Hessian of the criterion in (theta, sigma).
use super::Profiled;

impl Profiled {
    /// The Hessian of the criterion with sigma a parameter of its own: coordinates theta, then sigma; column-major.
    ///
    /// The row of sigma is exact,
    ///
    /// ```text
    /// d2 / d theta d sigma = -(2 / sigma^3) d r2 / d theta ,   d2 / d sigma^2 = -2 m / sigma^2 + 6 r2 / sigma^4 ;
    /// ```
    ///
    /// the block of theta is a central difference of the exact gradient with steps of a thousandth of a standard
    /// error, which leaves a relative error near 1e-7.
    pub fn hessian_sigma(&mut self, theta: &[f64], sigma: f64) -> Vec<f64> {
        let (n_theta, size) = (theta.len(), theta.len() + 1);
        let mut hessian = vec![f64::NAN; size * size];
        if !self.evaluate(theta) {
            return hessian;
        }
        let (m, r2) = (self.degrees_of_freedom(), self.r2());
        let mut slope = vec![0.0; n_theta];
        self.design.template.chain(theta, &self.penalty_gradient(), &mut slope);
        for j in 0..n_theta {
            let value = -2.0 / sigma.powi(3) * slope[j];
            hessian[n_theta * size + j] = value;
            hessian[j * size + n_theta] = value;
        }
        hessian[n_theta * size + n_theta] = -2.0 * m / sigma.powi(2) + 6.0 * r2 / sigma.powi(4);

        let metric = self.metric(theta);
        let mut columns = Vec::with_capacity(n_theta);
        for j in 0..n_theta {
            let curvature = metric[j * n_theta + j];
            let step = if curvature > 0.0 { 1e-3 * (2.0 / curvature).sqrt() } else { 1e-4 * theta[j].abs().max(1e-2) };
            let mut gradient = |step: f64| {
                let mut moved = theta.to_vec();
                moved[j] += step;
                let mut gradient = vec![0.0; size];
                self.value_gradient_sigma(&moved, sigma, &mut gradient);
                // The step that was really taken, after rounding.
                (gradient, moved[j])
            };
            let ((above, high), (below, low)) = (gradient(step), gradient(-step));
            columns.push((0..n_theta).map(|i| (above[i] - below[i]) / (high - low)).collect::<Vec<f64>>());
        }
        for j in 0..n_theta {
            for i in 0..n_theta {
                hessian[j * size + i] = 0.5 * (columns[j][i] + columns[i][j]);
            }
        }
        self.evaluate(theta);
        hessian
    }
}
