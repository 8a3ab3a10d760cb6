//! The Matern correlation and its slopes.
//!
//! M(x) = 2^(1-nu) / Gamma(nu) x^nu K_nu(x), with K_nu(x) = int_0^inf exp(-x cosh t) cosh(nu t) dt by the trapezoidal rule,
//! which for this integrand converges faster than any power of its step; d/dx x^nu K_nu = -x^nu K_(nu-1).
//!
//! Reference: Trefethen & Weideman (2014), SIAM Review 56, 385-458; Abramowitz & Stegun (1964), 9.6.24.
use super::{digamma, ln_gamma};
use rayon::prelude::*;

/// Largest step of the rule, whose error is then below 1e-15 of M(0) = 1.
const STEP: f64 = 0.2;
/// The same in units of the integrand's width, 1 / sqrt(nu) where nu is large.
const STEP_IN_WIDTHS: f64 = 0.7;
/// Terms below exp(-CUT) are left out: M(0) is 1.
const CUT: f64 = 40.0;
/// Step of a table in log x. Its quintic interpolation errs by about step^6 / 46080 times the sixth derivative, which is
/// some hundred: 1e-14.
const TABLE_STEP: f64 = 0.0125;
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
        let mut before = f64::NEG_INFINITY;
        for k in 0.. {
            let further = if k < self.nodes.len() { None } else { Some(Node::new(k, self.nu)) };
            let node = further.as_ref().unwrap_or_else(|| &self.nodes[k]);
            let exponent = scale + node.rise - x * node.cosh;
            if exponent > -CUT {
                visit(node, exponent.exp());
            } else if exponent < before {
                // The exponent rises to one peak and falls from there.
                return;
            }
            before = exponent;
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

/// The correlation at one smoothness over a range of x, by interpolation: for many x at a fraction of the work.
///
/// Quintic Hermite polynomials in log x, from M and D = dM / d log nu with their first two derivatives at the knots.
#[derive(Clone, Debug)]
pub struct MaternTable {
    first: f64,
    /// M, M', M'', D, D', D'' at each knot, in units of the step.
    knots: Vec<[f64; 6]>,
}

impl MaternTable {
    /// For x between `least` > 0 and `most`.
    pub fn new(matern: &Matern, least: f64, most: f64) -> Self {
        let (first, last) = (least.ln(), most.ln());
        let count = ((last - first) / TABLE_STEP).ceil() as usize + 2;
        let knot = |k: usize| matern.knot((first + k as f64 * TABLE_STEP).exp());
        Self { first, knots: (0..count).into_par_iter().with_min_len(64).map(knot).collect() }
    }

    /// How many knots a table from `least` to `most` has: the work of as many correlations.
    pub fn size(least: f64, most: f64) -> f64 {
        (most / least).ln() / TABLE_STEP
    }

    fn place(&self, x: f64) -> (&[f64; 6], &[f64; 6], f64) {
        let at = ((x.ln() - self.first) / TABLE_STEP).max(0.0);
        let k = (at as usize).min(self.knots.len() - 2);
        (&self.knots[k], &self.knots[k + 1], at - k as f64)
    }

    /// M(x).
    pub fn value(&self, x: f64) -> f64 {
        let (a, b, t) = self.place(x);
        quintic(&a[..3], &b[..3], t).0
    }

    /// x dM/dx and dM / d log nu.
    pub fn slopes(&self, x: f64) -> (f64, f64) {
        let (a, b, t) = self.place(x);
        (quintic(&a[..3], &b[..3], t).1 / TABLE_STEP, quintic(&a[3..], &b[3..], t).0)
    }
}

/// The polynomial of degree five with value, slope and curvature `a` at 0 and `b` at 1, and its slope, at t.
fn quintic(a: &[f64], b: &[f64], t: f64) -> (f64, f64) {
    let (rise, slope, bend) = (b[0] - a[0] - a[1] - 0.5 * a[2], b[1] - a[1] - a[2], b[2] - a[2]);
    let c = [
        10.0 * rise - 4.0 * slope + 0.5 * bend,
        -15.0 * rise + 7.0 * slope - bend,
        6.0 * rise - 3.0 * slope + 0.5 * bend,
    ];
    let value = a[0] + t * (a[1] + t * (0.5 * a[2] + t * (c[0] + t * (c[1] + t * c[2]))));
    (value, a[1] + t * (a[2] + t * (3.0 * c[0] + t * (4.0 * c[1] + t * 5.0 * c[2]))))
}

impl Matern {
    /// M, D and their first two derivatives with respect to log x, in units of a table's step.
    fn knot(&self, x: f64) -> [f64; 6] {
        let mut sums = [0.0; 6];
        self.each_node(x, |node, e| {
            // The logarithm of the integrand moves by nu - x cosh t with log x.
            let moved = self.nu - x * node.cosh;
            let bent = moved * moved - x * node.cosh;
            for (k, factor) in [1.0, moved, bent].into_iter().enumerate() {
                sums[k] += e * factor * node.value;
                sums[k + 3] += e * factor * node.turned;
            }
        });
        let [m, m1, m2, turned, turned1, turned2] = sums;
        let level = self.slope + x.ln();
        let d = [level * m + turned, level * m1 + m + turned1, level * m2 + 2.0 * m1 + turned2];
        let step = TABLE_STEP;
        [m, m1 * step, m2 * step * step, self.nu * d[0], self.nu * d[1] * step, self.nu * d[2] * step * step]
    }
}

#[cfg(test)]
mod tests {
    use super::{Matern, MaternTable};

    #[test]
    fn a_table_is_the_function() {
        for nu in [0.2, 0.5, 1.7, 6.0, 30.0] {
            let matern = Matern::new(nu);
            let table = MaternTable::new(&matern, 1e-4, 80.0);
            for k in 0..400 {
                let x = 1e-4 * (f64::from(k) / 399.0 * 8e5_f64.ln()).exp();
                let ((by_x, by_nu), (x_slope, nu_slope)) = (table.slopes(x), matern.slopes(x));
                assert!((table.value(x) - matern.value(x)).abs() < 1e-12, "nu {nu}, x {x}");
                assert!((by_x - x_slope).abs() < 1e-9, "nu {nu}, x {x}: {by_x} not {x_slope}");
                assert!((by_nu - nu_slope).abs() < 1e-11, "nu {nu}, x {x}: {by_nu} not {nu_slope}");
            }
        }
    }

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
