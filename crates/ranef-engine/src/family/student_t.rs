//! Student's t: a continuous response with heavy tails, of location μ, scale φ and ν degrees of freedom.
//!
//! With z = (y − μ)/φ and x = z²/ν,
//!
//! log f(y | μ, φ, ν) = G(ν/2) − ½ log 2π − log φ − ½ (ν + 1) log(1 + x)
//!
//! where G(h) = log Γ(h + ½) − log Γ(h) − ½ log h vanishes for h → ∞. There the family becomes gaussian, smoothly: for
//! x < 1 the last term is ½ (z² + x) log(1 + x)/x, in which nothing grows with ν.
//!
//! Reference: Lange, Little & Taylor (1989), J. Am. Stat. Assoc. 84:881-896.

use rand::Rng;
use rand_distr::{Distribution, StandardNormal};

use super::start::log_within;
use super::{Card, Component, Density, FamilyError, Options, Parameter, Responses, Support, gamma};
use crate::jet::Number;
use crate::link::Link;
use crate::special::{Taylor, beta_tails_at_logit, ln_1p_over_derivatives, ln_gamma_half_step, log_ndtr};

const LN_SQRT_TWO_PI: f64 = 0.918_938_533_204_672_7;

/// Card of Student's t family.
pub const CARD: Card = Card {
    name: "student_t",
    title: "Student's t",
    parameters: &[
        Parameter { name: "mu", component: Component::Cond, link: Link::Identity, meaning: "location" },
        Parameter { name: "phi", component: Component::Disp, link: Link::Log, meaning: "scale" },
        Parameter { name: "nu", component: Component::Shape, link: Link::Log, meaning: "degrees of freedom" },
    ],
    links: &[Link::Identity, Link::Log, Link::Inverse],
    support: Support::Real,
    zero_inflation: false,
    reference: "Lange, Little & Taylor (1989), J. Am. Stat. Assoc. 84:881-896",
    variance: "phi^2 nu / (nu - 2) for nu > 2, otherwise infinite",
};

/// Makes the family.
pub fn build(options: Options) -> Result<Box<dyn super::Family>, FamilyError> {
    Ok(Box::new(StudentT { links: [options.link, Link::Log, Link::Log] }))
}

/// Student's t family.
#[derive(Clone, Copy, Debug)]
pub struct StudentT {
    links: [Link; 3],
}

impl Density for StudentT {
    const CARD: &'static Card = &CARD;

    fn links(&self) -> &[Link] {
        &self.links
    }

    #[inline(always)]
    fn log_density<D: Number>(&self, y: f64, _trials: f64, eta: &[D]) -> D {
        let (s, k) = (eta[1], eta[2]);
        let residual = -self.links[0].mean(eta[0]) + y;
        let half = k - std::f64::consts::LN_2;
        let constant = half.compose(ln_gamma_half_step(half.value(), D::ORDER)) - s - LN_SQRT_TWO_PI;
        if 2.0 * (residual.value().abs().ln() - s.value()) > k.value() {
            let log_residual = eta[0].compose(log_residual(self.links[0], y, eta[0].value()));
            let (df, log_x) = (k.exp(), (log_residual - s) * 2.0 - k);
            // log(1 + x) = log x + log(1 + 1/x): log φ and half of log ν cancel by hand.
            let rest = df * log_x + (df + 1.0) * (-log_x).softplus();
            return constant + s - log_residual + (k - rest) * 0.5;
        }
        let z = residual * (-s).exp();
        let square = z * z;
        let x = square * (-k).exp();
        constant - (square + x) * x.compose(ln_1p_over_derivatives(x.value())) * 0.5
    }

    fn variance<D: Number>(&self, eta: &[D], _trials: f64) -> D {
        if eta[2].value() <= std::f64::consts::LN_2 {
            return D::from(f64::INFINITY);
        }
        // φ² / (1 − 2/ν)
        (eta[1] * 2.0 - (eta[2] - std::f64::consts::LN_2).log1mexp()).exp()
    }

    fn sigma<D: Number>(&self, eta: &[D]) -> D {
        eta[1].exp()
    }

    fn check_response(&self, y: f64, _trials: f64) -> Result<(), &'static str> {
        if y.is_finite() { Ok(()) } else { Err("a finite number") }
    }

    /// The median, and the scale and degrees of freedom of largest likelihood around it: there may be no moments.
    fn start(&self, data: Responses<'_>) -> Vec<f64> {
        let link = self.links[0];
        let mut free = data.without_offset(link);
        let median = median(&mut free);
        let mean = if link.valid_mean(median) { link.eta(median) } else { data.mean_predictor(link, CARD.support) };
        let mut residuals: Vec<f64> = free.iter().map(|y| (y - median).abs()).filter(|r| *r > 0.0).collect();
        if residuals.is_empty() {
            // A constant response has no spread to start from.
            return vec![mean, 0.0, std::f64::consts::LN_10];
        }
        // As many as a start needs, evenly over the sorted ones.
        residuals.sort_by(f64::total_cmp);
        let every = residuals.len().div_ceil(2000);
        let residuals: Vec<f64> = residuals.iter().copied().skip(every / 2).step_by(every).collect();
        let middle = residuals[residuals.len() / 2];
        let candidates: Vec<[f64; 3]> = (-2..=8).map(|i| profile(&residuals, middle, 0.5 * f64::from(i))).collect();
        let best =
            (0..candidates.len()).fold(0, |best, i| if candidates[i][0] > candidates[best][0] { i } else { best });
        let [_, log_scale, log_df] = candidates[best];
        if best == 0 || best + 1 == candidates.len() {
            return vec![mean, log_scale, log_df];
        }
        // The top of the parabola through the best and its neighbours.
        let (left, centre, right) = (candidates[best - 1][0], candidates[best][0], candidates[best + 1][0]);
        let bend = left - 2.0 * centre + right;
        let shift = if bend < 0.0 { 0.5 * (left - right) / bend } else { 0.0 };
        let refined = profile(&residuals, middle, log_df + 0.5 * shift.clamp(-1.0, 1.0));
        vec![mean, refined[1], refined[2]]
    }

    fn start_mean(&self, y: f64, _trials: f64) -> f64 {
        let link = self.links[0];
        // The log and inverse links cannot reach every y; 1 is as good a start as any there.
        link.eta(if link.valid_mean(y) { y } else { 1.0 })
    }

    fn tails(&self, y: f64, _trials: f64, eta: &[f64]) -> [f64; 2] {
        let residual = y - self.links[0].mean(eta[0]);
        let k = eta[2].clamp(-690.0, 690.0);
        let small = if k > 70.0 {
            // Normal to every digit.
            log_ndtr(-(residual.abs() * (-eta[1]).exp()).min(1e9)).exp()
        } else {
            let log_x = (2.0 * (residual.abs().ln() - eta[1]) - k).clamp(-1400.0, 1400.0);
            0.5 * beta_tails_at_logit(0.5 * k.exp(), 0.5, -log_x)[0]
        };
        if residual < 0.0 { [small, 1.0 - small] } else { [1.0 - small, small] }
    }

    fn sample(&self, eta: &[f64], _trials: f64, rng: &mut dyn Rng) -> f64 {
        let z: f64 = StandardNormal.sample(rng);
        // A normal draw over the root of a gamma draw of mean 1, in logarithms.
        let half = eta[2] - std::f64::consts::LN_2;
        let log_stretch = 0.5 * (half - gamma::log_draw(half, rng));
        self.links[0].mean(eta[0]) + z.signum() * (z.abs().ln() + eta[1] + log_stretch).exp()
    }
}

/// log |y − μ| and its derivatives in the predictor of μ, without the differences that vanish for |μ| ≫ |y|.
fn log_residual(link: Link, y: f64, eta: f64) -> Taylor {
    let mu = link.mean(eta);
    let r = 1.0 / (y - mu);
    let value = (y - mu).abs().ln();
    match link {
        Link::Log => [value, -mu * r, -mu * r * y * r, -mu * r * y * r * (y + mu) * r],
        Link::Inverse => {
            // log |y η − 1| − log |η|
            let t = y * eta;
            let (u, v) = (1.0 / (t - 1.0), 1.0 / eta);
            let w = u * v;
            [value, w, w * w * (1.0 - 2.0 * t), 2.0 * w * w * w * (3.0 * t * (t - 1.0) + 1.0)]
        }
        _ => [value, -r, -r * r, -2.0 * r * r * r],
    }
}

/// The log likelihood a residual, log scale and log degrees of freedom, with the scale at its best for these degrees of
/// freedom (by the EM algorithm, from `scale`).
fn profile(residuals: &[f64], scale: f64, log_df: f64) -> [f64; 3] {
    let (df, n) = (log_df.exp(), residuals.len() as f64);
    let mut square = scale * scale;
    for _ in 0..40 {
        let pull: f64 = residuals.iter().map(|r| r * r / (df + r * r / square)).sum();
        square = (df + 1.0) * pull / n;
    }
    let log_scale = log_within(square.sqrt(), 1e-100, 1e100);
    let square = (2.0 * log_scale).exp();
    let constant = ln_gamma_half_step(log_df - std::f64::consts::LN_2, 0)[0] - log_scale;
    let spread: f64 = residuals.iter().map(|r| (r * r / (square * df)).ln_1p()).sum();
    [constant - 0.5 * (df + 1.0) * spread / n, log_scale, log_df]
}

/// The median; 0 of nothing.
fn median(values: &mut [f64]) -> f64 {
    if values.is_empty() {
        return 0.0;
    }
    let middle = values.len() / 2;
    *values.select_nth_unstable_by(middle, f64::total_cmp).1
}
