//! Link functions: how a linear predictor η becomes a mean μ.
//!
//! Families work with log μ and, for probabilities, log(1 − μ): these are what their densities
//! contain, and they stay finite where μ itself rounds to 0 or 1. Every link therefore gives
//! μ(η), log μ(η) and log(1 − μ(η)), each with three derivatives.
//!
//! Reference: McCullagh & Nelder (1989), Generalized Linear Models, §2.2.3 and §4.3.1.

use std::f64::consts::PI;
use std::fmt;

use crate::jet::Number;
use crate::special::{
    self, Taylor, expit, log_expit, log_expit_derivatives, log_ndtr, log_ndtr_derivatives, log1mexp,
    softplus_derivatives,
};

/// Where the mean of a family lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Domain {
    /// The whole line.
    Real,
    /// μ > 0.
    Positive,
    /// 0 < μ < 1.
    Unit,
}

/// A link function η = g(μ).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// η = μ
    Identity,
    /// η = log μ
    Log,
    /// η = log(μ / (1 − μ))
    Logit,
    /// η = Φ⁻¹(μ)
    Probit,
    /// η = log(−log(1 − μ))
    Cloglog,
    /// η = tan(π(μ − ½))
    Cauchit,
    /// η = −log(−log μ)
    Loglog,
    /// η = 1/μ
    Inverse,
    /// η = 1/μ²
    InverseSquared,
    /// η = √μ
    Sqrt,
}

impl Link {
    /// Every link.
    pub const ALL: &'static [Link] = &[
        Link::Identity,
        Link::Log,
        Link::Logit,
        Link::Probit,
        Link::Cloglog,
        Link::Cauchit,
        Link::Loglog,
        Link::Inverse,
        Link::InverseSquared,
        Link::Sqrt,
    ];

    /// The name users write.
    pub fn name(self) -> &'static str {
        match self {
            Link::Identity => "identity",
            Link::Log => "log",
            Link::Logit => "logit",
            Link::Probit => "probit",
            Link::Cloglog => "cloglog",
            Link::Cauchit => "cauchit",
            Link::Loglog => "loglog",
            Link::Inverse => "inverse",
            Link::InverseSquared => "inverse_squared",
            Link::Sqrt => "sqrt",
        }
    }

    /// The link of that name; `"1/mu^2"` (R's spelling) is `inverse_squared`.
    pub fn from_name(name: &str) -> Option<Link> {
        if name == "1/mu^2" {
            return Some(Link::InverseSquared);
        }
        Self::ALL.iter().copied().find(|link| link.name() == name)
    }

    /// The predictor η at mean μ; NaN or infinite where the link is not defined.
    pub fn eta(self, mu: f64) -> f64 {
        match self {
            Link::Identity => mu,
            Link::Log => mu.ln(),
            Link::Logit => mu.ln() - (-mu).ln_1p(),
            Link::Probit => probit(mu),
            Link::Cloglog => (-(-mu).ln_1p()).ln(),
            Link::Cauchit => {
                // tan is steep at both ends: −1/tan(πμ) keeps the digits of a small μ.
                if mu < 0.25 {
                    -1.0 / (PI * mu).tan()
                } else if mu > 0.75 {
                    1.0 / (PI * (1.0 - mu)).tan()
                } else {
                    (PI * (mu - 0.5)).tan()
                }
            }
            Link::Loglog => -(-mu.ln()).ln(),
            Link::Inverse => 1.0 / mu,
            Link::InverseSquared => 1.0 / (mu * mu),
            Link::Sqrt => mu.sqrt(),
        }
    }

    /// Whether the link is defined at mean μ, whatever the family.
    pub fn valid_mean(self, mu: f64) -> bool {
        let domain = match self {
            Link::Identity => true,
            Link::Inverse => mu != 0.0,
            Link::Log | Link::InverseSquared => mu > 0.0,
            Link::Sqrt => mu >= 0.0,
            Link::Logit | Link::Probit | Link::Cloglog | Link::Cauchit | Link::Loglog => mu > 0.0 && mu < 1.0,
        };
        domain && mu.is_finite()
    }

    /// Whether η gives a mean inside the family's domain.
    ///
    /// Decided on η, where the boundary is exact: at η = 40 the logistic mean rounds to 1 but is
    /// not 1. The square-root link takes negative η too (μ = η², smooth through 0), as lme4 and
    /// glmmTMB do.
    #[inline]
    pub fn feasible(self, eta: f64, domain: Domain) -> bool {
        let inside = match (self, domain) {
            (Link::InverseSquared, _) => eta > 0.0,
            (Link::Identity | Link::Inverse, Domain::Positive) => eta > 0.0,
            (Link::Inverse, Domain::Real) => eta != 0.0,
            (Link::Identity, Domain::Unit) => eta > 0.0 && eta < 1.0,
            (Link::Log, Domain::Unit) => eta < 0.0,
            (Link::Inverse, Domain::Unit) => eta > 1.0,
            (Link::Sqrt, Domain::Unit) => eta.abs() < 1.0,
            _ => true,
        };
        inside && !eta.is_nan()
    }

    /// μ(η) on any number type.
    #[inline(always)]
    pub fn mean<D: Number>(self, eta: D) -> D {
        eta.compose(self.mean_derivatives(eta.value()))
    }

    /// log μ(η) on any number type, for μ > 0.
    #[inline(always)]
    pub fn log_mean<D: Number>(self, eta: D) -> D {
        if self == Link::Log {
            return eta;
        }
        eta.compose(self.log_mean_derivatives(eta.value()))
    }

    /// log(1 − μ(η)) on any number type, for μ < 1.
    #[inline(always)]
    pub fn log_complement<D: Number>(self, eta: D) -> D {
        eta.compose(self.log_complement_derivatives(eta.value()))
    }

    /// μ and its derivatives in η.
    #[inline]
    pub fn mean_derivatives(self, eta: f64) -> Taylor {
        match self {
            Link::Identity => [eta, 1.0, 0.0, 0.0],
            Link::Log => {
                let mu = eta.exp();
                [mu, mu, mu, mu]
            }
            Link::Logit => {
                let [_, p, pq, third] = softplus_derivatives(eta);
                [p, pq, third, pq * (1.0 - 6.0 * pq)]
            }
            Link::Probit => {
                let density = (-0.5 * eta * eta).exp() / (2.0 * PI).sqrt();
                [log_ndtr(eta).exp(), density, -eta * density, (eta * eta - 1.0) * density]
            }
            Link::Cloglog => {
                // μ′ = t e⁻ᵗ with t = eᵑ, taken as one exponential so that t = ∞ gives 0.
                let t = eta.exp();
                let first = (eta - t).exp();
                if first == 0.0 {
                    return [-(-t).exp_m1(), 0.0, 0.0, 0.0];
                }
                let s = 1.0 - t;
                [-(-t).exp_m1(), first, first * s, first * (s * s - t)]
            }
            Link::Loglog => {
                // The mirror image of cloglog: μ(η) = 1 − cloglog(−η).
                let [_, first, second, third] = Link::Cloglog.mean_derivatives(-eta);
                [(-(-eta).exp()).exp(), first, -second, third]
            }
            Link::Cauchit => {
                // atan2 keeps small probabilities: ½ + atan(η)/π would lose them.
                let r = 1.0 / (1.0 + eta * eta);
                let first = r / PI;
                [f64::atan2(1.0, -eta) / PI, first, -2.0 * eta * r * first, (6.0 * eta * eta - 2.0) * r * r * first]
            }
            Link::Inverse => {
                let mu = 1.0 / eta;
                [mu, -mu * mu, 2.0 * mu * mu * mu, -6.0 * mu * mu * mu * mu]
            }
            Link::InverseSquared => {
                let (mu, r) = (1.0 / eta.sqrt(), 1.0 / eta);
                [mu, -0.5 * mu * r, 0.75 * mu * r * r, -1.875 * mu * r * r * r]
            }
            Link::Sqrt => [eta * eta, 2.0 * eta, 2.0, 0.0],
        }
    }

    /// log μ and its derivatives in η.
    #[inline]
    pub fn log_mean_derivatives(self, eta: f64) -> Taylor {
        match self {
            Link::Log => [eta, 1.0, 0.0, 0.0],
            Link::Identity => log_power(eta, 1.0),
            Link::Inverse => log_power(eta, -1.0),
            Link::InverseSquared => log_power(eta, -0.5),
            Link::Sqrt => log_power(eta, 2.0),
            Link::Logit => log_expit_derivatives(eta),
            Link::Probit => log_ndtr_derivatives(eta),
            Link::Cloglog => log_cloglog(eta),
            Link::Loglog => {
                let t = (-eta).exp();
                [-t, t, -t, t]
            }
            Link::Cauchit => log_cauchit(eta),
        }
    }

    /// log(1 − μ) and its derivatives in η.
    #[inline]
    pub fn log_complement_derivatives(self, eta: f64) -> Taylor {
        match self {
            Link::Logit => mirror(log_expit_derivatives(-eta)),
            Link::Probit => mirror(log_ndtr_derivatives(-eta)),
            Link::Cauchit => mirror(log_cauchit(-eta)),
            Link::Loglog => mirror(log_cloglog(-eta)),
            Link::Cloglog => {
                let t = eta.exp();
                [-t, -t, -t, -t]
            }
            Link::Log => mirror(special::log1mexp_derivatives(-eta)),
            Link::Identity | Link::Inverse | Link::InverseSquared | Link::Sqrt => {
                // No family on (0, 1) offers these; the plain chain rule through μ serves.
                let [mu, m1, m2, m3] = self.mean_derivatives(eta);
                let r = 1.0 / (1.0 - mu);
                let (f1, f2, f3) = (-r, -r * r, -2.0 * r * r * r);
                [(-mu).ln_1p(), f1 * m1, f1 * m2 + f2 * m1 * m1, f1 * m3 + 3.0 * f2 * m1 * m2 + f3 * m1 * m1 * m1]
            }
        }
    }

    /// log μ, without derivatives.
    #[inline]
    pub fn log_mean_value(self, eta: f64) -> f64 {
        match self {
            Link::Logit => log_expit(eta),
            _ => self.log_mean_derivatives(eta)[0],
        }
    }

    /// log(1 − μ), without derivatives.
    #[inline]
    pub fn log_complement_value(self, eta: f64) -> f64 {
        match self {
            Link::Logit => log_expit(-eta),
            Link::Log => log1mexp(-eta),
            _ => self.log_complement_derivatives(eta)[0],
        }
    }

    /// 1 − μ, small values with their relative accuracy.
    #[inline]
    pub fn complement(self, eta: f64) -> f64 {
        match self {
            Link::Logit => expit(-eta),
            _ => self.log_complement_value(eta).exp(),
        }
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Derivatives of x ↦ f(−x), given those of f at −x.
#[inline(always)]
fn mirror([f, f1, f2, f3]: Taylor) -> Taylor {
    [f, -f1, f2, -f3]
}

/// log |η|^a and its derivatives.
#[inline(always)]
fn log_power(eta: f64, a: f64) -> Taylor {
    let r = 1.0 / eta;
    [a * eta.abs().ln(), a * r, -a * r * r, 2.0 * a * r * r * r]
}

/// log(1 − exp(−eᵑ)) and its derivatives.
///
/// With t = eᵑ and r = t/(eᵗ − 1): f′ = r, f″ = r u, f‴ = r (u² − t − r u), u = 1 − t − r. For small
/// t, u = −t/2 − Σ B₂ₖ t²ᵏ/(2k)! has to come from the series of t/(eᵗ − 1).
#[inline]
fn log_cloglog(eta: f64) -> Taylor {
    let t = eta.exp();
    if t > 745.0 {
        // 1 − μ underflows: log μ is 0 with all its derivatives.
        return [0.0; 4];
    }
    let (value, r, u) = if t < 0.5 {
        const BERNOULLI: [f64; 8] = [
            1.0 / 12.0,
            -1.0 / 720.0,
            1.0 / 30_240.0,
            -1.0 / 1_209_600.0,
            1.0 / 47_900_160.0,
            -691.0 / 1_307_674_368_000.0,
            1.0 / 74_724_249_600.0,
            -3617.0 / 10_670_622_842_880_000.0,
        ];
        let square = t * t;
        let mut sum = 0.0;
        for coefficient in BERNOULLI.iter().rev() {
            sum = sum * square + coefficient;
        }
        let u = -0.5 * t - square * sum;
        let r = 1.0 - t - u;
        // log((1 − e⁻ᵗ)/t) = log(1 − t/2 + t²/6 − …), so that η itself enters exactly.
        let ratio = -special::expm1mx(-t) / t;
        (if t == 0.0 { eta } else { eta + ratio.ln_1p() }, r, u)
    } else {
        let r = t / t.exp_m1();
        (log1mexp(t), r, 1.0 - t - r)
    };
    [value, r, r * u, r * (u * u - t - r * u)]
}

/// log(½ + atan(η)/π) and its derivatives.
#[inline]
fn log_cauchit(eta: f64) -> Taylor {
    let [mu, m1, m2, m3] = Link::Cauchit.mean_derivatives(eta);
    let (a, b, c) = (m1 / mu, m2 / mu, m3 / mu);
    // Near certainty the logarithm is that of 1 − (small).
    let value = if eta > 1.0 { (-f64::atan2(1.0, eta) / PI).ln_1p() } else { mu.ln() };
    [value, a, b - a * a, c - 3.0 * a * b + 2.0 * a * a * a]
}

/// Φ⁻¹ by Newton's method on log Φ of the smaller tail, which is concave: it converges from
/// anywhere, and the digits of a small probability survive.
fn probit(mu: f64) -> f64 {
    if !(mu > 0.0 && mu < 1.0) {
        return match mu {
            0.0 => f64::NEG_INFINITY,
            1.0 => f64::INFINITY,
            _ => f64::NAN,
        };
    }
    if mu > 0.5 {
        return -probit(1.0 - mu);
    }
    let target = mu.ln();
    // The leading term of Mills' expansion in the tail, a straight line near the centre.
    let mut x = if mu > 0.05 { 2.5 * (mu - 0.5) } else { -(-2.0 * target).sqrt() };
    for _ in 0..50 {
        let [value, slope, _, _] = log_ndtr_derivatives(x);
        let step = (value - target) / slope;
        x -= step;
        if step.abs() <= 1e-15 * x.abs().max(1e-3) {
            break;
        }
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_found() {
        for (i, link) in Link::ALL.iter().enumerate() {
            assert_eq!(Link::from_name(link.name()), Some(*link));
            assert_eq!(*link as usize, i);
        }
        assert_eq!(Link::from_name("1/mu^2"), Some(Link::InverseSquared));
        assert_eq!(Link::from_name("logti"), None);
    }

    #[test]
    fn tails_keep_their_digits() {
        let m = Link::Cloglog.log_mean_derivatives(-700.0);
        assert_eq!(m[0], -700.0);
        assert_eq!(m[1], 1.0);
        assert!((m[2] / (-0.5 * (-700.0_f64).exp()) - 1.0).abs() < 1e-12);
        let m = Link::Cauchit.log_mean_derivatives(-1e8);
        assert!((m[0] + (1e8 * PI).ln()).abs() < 1e-14 * 20.0);
        assert!((m[1] / 1e-8 - 1.0).abs() < 1e-12);
        assert_eq!(Link::Cloglog.log_mean_derivatives(800.0), [0.0; 4]);
    }
}
