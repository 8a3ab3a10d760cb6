//! The Matern correlation and its slopes.
//!
//! M(x) = 2^(1-nu) / Gamma(nu) x^nu K_nu(x), with K_nu(x) = int_0^inf exp(-x cosh t) cosh(nu t) dt by the trapezoidal rule,
//! which for this integrand converges faster than any power of its step; d/dx x^nu K_nu = -x^nu K_(nu-1).
//!
//! Reference: Trefethen & Weideman (2014), SIAM Review 56, 385-458; Abramowitz & Stegun (1964), 9.6.24.
use super::{digamma, ln_gamma};

/// Largest step of the rule, whose error is then below 1e-15 of M(0) = 1.
const STEP: f64 = 0.2;
/// The same in units of the integrand's width, 1 / sqrt(nu) where nu is large.
const STEP_IN_WIDTHS: f64 = 0.7;
/// Terms below exp(-CUT) of the largest are left out.
const CUT: f64 = 40.0;
/// Below this x the correlation is 1 to working precision, whatever nu >= 1/2 is; smaller nu are computed all the same.
const SMALLEST: f64 = 1e-300;

/// The correlation at one smoothness nu.
#[derive(Clone, Debug)]
pub struct Matern {
    nu: f64,
    log_constant: f64,
    /// d log constant / d nu.
    slope: f64,
    nodes: Vec<Node>,
}

/// A node t of the rule, and the factors of the integrands there relative to exp(nu t).
#[derive(Clone, Copy, Debug)]
struct Node {
    cosh: f64,
    rise: f64,
    /// cosh(nu t).
    value: f64,
    /// cosh((nu - 1) t).
    lower: f64,
    /// t sinh(nu t).
    turned: f64,
}

impl Node {
    fn new(k: usize, nu: f64) -> Self {
        let step = STEP.min(STEP_IN_WIDTHS / nu.sqrt());
        let t = k as f64 * step;
        let (back, weight) = ((-2.0 * nu * t).exp(), if k == 0 { 0.5 * step } else { step });
        Self {
            cosh: t.cosh(),
            rise: nu * t,
            value: weight * (0.5 + 0.5 * back),
            lower: weight * 0.5 * ((-t).exp() + (t - 2.0 * nu * t).exp()),
            turned: weight * 0.5 * t * (1.0 - back),
        }
    }
}

impl Matern {
    /// At smoothness `nu`.
    pub fn new(nu: f64) -> Self {
        let ln2 = std::f64::consts::LN_2;
        Self {
            nu,
            log_constant: (1.0 - nu) * ln2 - ln_gamma(nu),
            slope: -ln2 - digamma(nu),
            nodes: (0..256).map(|k| Node::new(k, nu)).collect(),
        }
    }

    /// Visits the nodes with exp(log constant + nu log x + nu t - x cosh t).
    fn each_node(&self, x: f64, mut visit: impl FnMut(&Node, f64)) {
        let scale = self.log_constant + self.nu * x.ln();
        let mut largest = f64::NEG_INFINITY;
        for k in 0.. {
            let further = if k < self.nodes.len() { None } else { Some(Node::new(k, self.nu)) };
            let node = further.as_ref().unwrap_or_else(|| &self.nodes[k]);
            let exponent = scale + node.rise - x * node.cosh;
            largest = largest.max(exponent);
            if exponent < largest - CUT {
                return;
            }
            visit(node, exponent.exp());
        }
    }

    /// M(x), for x >= 0.
    pub fn value(&self, x: f64) -> f64 {
        if x < SMALLEST {
            return 1.0;
        }
        let mut sum = 0.0;
        self.each_node(x, |node, e| sum += e * node.value);
        sum.min(1.0)
    }

    /// x dM/dx and dM / d log nu at x >= 0.
    pub fn slopes(&self, x: f64) -> (f64, f64) {
        if x < SMALLEST {
            return (0.0, 0.0);
        }
        let (mut value, mut lower, mut turned) = (0.0, 0.0, 0.0);
        self.each_node(x, |node, e| {
            value += e * node.value;
            lower += e * node.lower;
            turned += e * node.turned;
        });
        (-x * lower, self.nu * (value * (self.slope + x.ln()) + turned))
    }
}

#[cfg(test)]
mod tests {
    use super::Matern;

    #[test]
    fn half_integers_have_closed_forms() {
        for x in [1e-12, 1e-6, 1e-3, 0.1, 0.7, 1.0, 2.5, 10.0, 40.0] {
            let e = f64::exp(-x);
            for (nu, closed) in [(0.5, e), (1.5, (1.0 + x) * e), (2.5, (1.0 + x + x * x / 3.0) * e)] {
                let value = Matern::new(nu).value(x);
                // Rounding of exponents of up to 100.
                assert!((value - closed).abs() < 2e-14, "nu {nu}, x {x}: {value} not {closed}");
            }
        }
    }

    #[test]
    fn slopes_are_those_of_the_value() {
        // Central differences with a relative step of 1e-4 are right to about 1e-8 (rounding of exponents near 100).
        for nu in [0.2, 0.5, 1.0, 1.7, 4.0, 20.0] {
            for x in [1e-3, 0.05, 0.4, 1.3, 4.0, 12.0] {
                let h = 1e-4_f64;
                let matern = Matern::new(nu);
                let (by_x, by_nu) = matern.slopes(x);
                let along_x = (matern.value(x * h.exp()) - matern.value(x * (-h).exp())) / (2.0 * h);
                let along_nu = (Matern::new(nu * h.exp()).value(x) - Matern::new(nu * (-h).exp()).value(x)) / (2.0 * h);
                assert!((by_x - along_x).abs() < 2e-8, "nu {nu}, x {x}: {by_x} not {along_x}");
                assert!((by_nu - along_nu).abs() < 2e-8, "nu {nu}, x {x}: {by_nu} not {along_nu}");
            }
        }
    }
}
