//! The author's side of a family: one scalar log density, generic over the number type.

use std::fmt::Debug;

use rand::Rng;

use crate::jet::Number;
use crate::link::Link;

use super::derivatives::{self, Quantity, by_jets};
use super::{Card, Component, Derivatives, Family, Kind, Responses, Rows};

/// What the author of a family writes; [`Family`] follows from it.
///
/// The density is a function of the linear predictors, so links are applied inside, in whichever
/// form loses no digits ([`Link::log_mean`] rather than the logarithm of [`Link::mean`]). Every
/// function of the predictors is generic over [`Number`]: evaluated on jets it yields derivatives.
///
/// # Example
///
/// The exponential distribution with mean μ = e^η, complete:
///
/// ```
/// use ranef_engine::family::*;
/// use ranef_engine::jet::Number;
/// use ranef_engine::link::Link;
///
/// const CARD: Card = Card {
///     name: "exponential",
///     title: "Exponential",
///     parameters: &[Parameter { name: "mu", component: Component::Cond, link: Link::Log, meaning: "mean" }],
///     links: &[Link::Log],
///     support: Support::Positive,
///     zero_inflation: false,
///     reference: "McCullagh & Nelder (1989), ch. 8",
///     variance: "mu^2",
/// };
///
/// #[derive(Debug)]
/// struct Exponential;
///
/// impl Density for Exponential {
///     const CARD: &'static Card = &CARD;
///     fn links(&self) -> &[Link] { &[Link::Log] }
///     fn log_density<D: Number>(&self, y: f64, _trials: f64, eta: &[D]) -> D {
///         -eta[0] - (-eta[0]).exp() * y
///     }
///     fn variance<D: Number>(&self, eta: &[D], _trials: f64) -> D { (eta[0] * 2.0).exp() }
///     fn check_response(&self, y: f64, _trials: f64) -> Result<(), &'static str> {
///         if y > 0.0 { Ok(()) } else { Err("a number above 0") }
///     }
///     fn start(&self, data: Responses<'_>) -> Vec<f64> { vec![data.mean_predictor(Link::Log, Support::Positive)] }
///     fn start_mean(&self, y: f64, _trials: f64) -> f64 { y.ln() }
///     fn sample(&self, eta: &[f64], _trials: f64, rng: &mut dyn rand::Rng) -> f64 {
///         rand_distr::Distribution::<f64>::sample(&rand_distr::Exp1, rng) * eta[0].exp()
///     }
/// }
///
/// let family: Box<dyn Family> = Box::new(Exponential);
/// let mut out = Derivatives::default();
/// family.derivatives(Rows { y: &[2.0], trials: None, eta: &[&[0.0]] }, 3, &mut out);
/// assert_eq!(out.value, [-2.0]);
/// assert_eq!(out.first[0], [1.0]);
/// ```
pub trait Density: Send + Sync + Debug + 'static {
    /// The description of the family.
    const CARD: &'static Card;

    /// K, the number of linear predictors: one for each parameter on the card.
    const PREDICTORS: usize = Self::CARD.parameters.len();

    /// The links of the K predictors.
    fn links(&self) -> &[Link];

    /// Log density of `y` at feasible predictors, constants included.
    fn log_density<D: Number>(&self, y: f64, trials: f64, eta: &[D]) -> D;

    /// E(Y); for binomial-type families, of the proportion y/trials.
    fn mean<D: Number>(&self, eta: &[D]) -> D {
        self.links()[0].mean(eta[0])
    }

    /// The mean of the part that the mean's predictor describes: E(Y) unless the family mixes it with point masses.
    fn conditional_mean<D: Number>(&self, eta: &[D]) -> D {
        self.mean(eta)
    }

    /// Var(Y); for binomial-type families, of the proportion y/trials.
    fn variance<D: Number>(&self, eta: &[D], trials: f64) -> D;

    /// What `sigma()` reports: 1 unless the family has a dispersion parameter.
    fn sigma<D: Number>(&self, _eta: &[D]) -> D {
        D::from(1.0)
    }

    /// Whether the predictors give parameters inside their domains.
    #[inline(always)]
    fn feasible(&self, eta: &[f64]) -> bool {
        let mean = self.links()[0].feasible(eta[0], Self::CARD.support.domain());
        mean && eta[1..].iter().all(|eta| !eta.is_nan())
    }

    /// Whether `y` is a value of the family; if not, what is needed, as a noun phrase.
    fn check_response(&self, y: f64, trials: f64) -> Result<(), &'static str>;

    /// Moment estimates of the K predictors as constants.
    fn start(&self, data: Responses<'_>) -> Vec<f64>;

    /// A predictor of the mean that is safe to start from for a row with response `y`.
    fn start_mean(&self, y: f64, trials: f64) -> f64;

    /// Squared deviance residual, unscaled, as R's `dev.resids`; `None` where it has no closed form.
    fn unit_deviance(&self, _y: f64, _trials: f64, _eta: &[f64]) -> Option<f64> {
        None
    }

    /// P(Y < y) and P(Y > y) at feasible predictors: both tails, so that neither loses its digits. What is missing to one
    /// is the probability of `y` itself.
    fn tails(&self, _y: f64, _trials: f64, _eta: &[f64]) -> [f64; 2] {
        [f64::NAN; 2]
    }

    /// One draw of Y.
    fn sample(&self, eta: &[f64], trials: f64, rng: &mut dyn Rng) -> f64;

    /// Whether [`Density::fill`] has a hand-written path for this link.
    fn closed_form(&self) -> bool {
        false
    }

    /// Log densities and derivatives of many rows, into blocks already of the right shape.
    /// By jets unless the author knows better.
    fn fill(&self, rows: Rows<'_>, order: usize, out: &mut Derivatives)
    where
        Self: Sized,
    {
        by_jets(self, rows, order, out);
    }
}

struct Mean;
struct ConditionalMean;
struct Sigma;
struct Variance(f64);

impl<F: Density> Quantity<F> for Mean {
    fn of<D: Number>(&self, family: &F, eta: &[D]) -> D {
        family.mean(eta)
    }
}

impl<F: Density> Quantity<F> for ConditionalMean {
    fn of<D: Number>(&self, family: &F, eta: &[D]) -> D {
        family.conditional_mean(eta)
    }
}

impl<F: Density> Quantity<F> for Sigma {
    fn of<D: Number>(&self, family: &F, eta: &[D]) -> D {
        family.sigma(eta)
    }
}

impl<F: Density> Quantity<F> for Variance {
    fn of<D: Number>(&self, family: &F, eta: &[D]) -> D {
        family.variance(eta, self.0)
    }
}

/// The components of a family's card as a slice that lives as long as the program.
const fn components<F: Density>() -> &'static [Component] {
    use Component::{Cond, Disp, Shape, Threshold, Zi};
    // Every sequence a family may have; a card that fits none does not compile.
    const SEQUENCES: [&[Component]; 5] =
        [&[Cond], &[Cond, Disp], &[Cond, Shape], &[Cond, Disp, Shape], &[Cond, Disp, Threshold, Threshold]];
    const fn same(a: Component, b: Component) -> bool {
        matches!((a, b), (Cond, Cond) | (Zi, Zi) | (Disp, Disp) | (Shape, Shape) | (Threshold, Threshold))
    }
    let parameters = F::CARD.parameters;
    let mut i = 0;
    while i < SEQUENCES.len() {
        let sequence = SEQUENCES[i];
        let mut k = 0;
        while k < sequence.len() && k < parameters.len() && same(sequence[k], parameters[k].component) {
            k += 1;
        }
        if k == sequence.len() && k == parameters.len() {
            return sequence;
        }
        i += 1;
    }
    panic!("the parameters of this family's card come in an order no family has yet")
}

/// A predictor that a search can start from: the links of responses at the ends of the floating-point numbers overflow.
fn within_reach(eta: f64) -> f64 {
    const FURTHEST: f64 = 1e100;
    eta.clamp(-FURTHEST, FURTHEST)
}

impl<F: Density> Family for F {
    fn card(&self) -> &'static Card {
        F::CARD
    }

    fn components(&self) -> &[Component] {
        const { components::<F>() }
    }

    fn links(&self) -> &[Link] {
        Density::links(self)
    }

    fn feasible(&self, eta: &[f64]) -> bool {
        Density::feasible(self, eta)
    }

    fn fill(&self, rows: Rows<'_>, order: usize, out: &mut Derivatives) {
        Density::fill(self, rows, order, out);
    }

    fn fill_by_jets(&self, rows: Rows<'_>, order: usize, out: &mut Derivatives) {
        by_jets(self, rows, order, out);
    }

    fn log_density(&self, y: f64, trials: f64, eta: &[f64]) -> f64 {
        derivatives::log_density(self, y, trials, eta)
    }

    fn check_response(&self, y: f64, trials: f64) -> Result<(), &'static str> {
        Density::check_response(self, y, trials)
    }

    fn start(&self, y: &[f64], trials: Option<&[f64]>, weights: Option<&[f64]>, offset: Option<&[f64]>) -> Vec<f64> {
        Density::start(self, Responses { y, trials, weights, offset }).into_iter().map(within_reach).collect()
    }

    fn start_mean(&self, y: f64, trials: f64) -> f64 {
        within_reach(Density::start_mean(self, y, trials))
    }

    fn predict(&self, kind: Kind, eta: &[f64], gradient: &mut [f64]) -> f64 {
        gradient.fill(0.0);
        match kind {
            Kind::Response => derivatives::with_gradient(self, eta, gradient, &Mean),
            Kind::Conditional => derivatives::with_gradient(self, eta, gradient, &ConditionalMean),
            Kind::Dispersion => derivatives::with_gradient(self, eta, gradient, &Sigma),
            Kind::Variance => derivatives::with_gradient(self, eta, gradient, &Variance(1.0)),
            Kind::Link => {
                gradient[0] = 1.0;
                eta[0]
            }
            Kind::ZeroProbability => 0.0,
            Kind::ZeroLink => f64::NEG_INFINITY,
            Kind::Category(_) => f64::NAN,
        }
    }

    fn sigma(&self, eta: &[f64]) -> f64 {
        Density::sigma(self, eta)
    }

    fn variance(&self, eta: &[f64], trials: f64) -> f64 {
        Density::variance(self, eta, trials)
    }

    fn unit_deviance(&self, y: f64, trials: f64, eta: &[f64]) -> Option<f64> {
        if Density::feasible(self, eta) { Density::unit_deviance(self, y, trials, eta) } else { None }
    }

    fn tails(&self, y: f64, trials: f64, eta: &[f64]) -> [f64; 2] {
        if Density::feasible(self, eta) { Density::tails(self, y, trials, eta) } else { [f64::NAN; 2] }
    }

    fn sample(&self, eta: &[f64], trials: f64, rng: &mut dyn Rng) -> f64 {
        if Density::feasible(self, eta) { Density::sample(self, eta, trials, rng) } else { f64::NAN }
    }

    fn closed_form(&self) -> bool {
        Density::closed_form(self)
    }
}
