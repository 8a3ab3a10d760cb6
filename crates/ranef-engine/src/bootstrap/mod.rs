//! The parametric bootstrap: responses drawn from a fit, and the model fitted to each.
//!
//! Replicate r uses stream r of a counter-based generator, and every replicate starts from the fit itself, so the answer
//! depends on the seed alone: not on the number of threads, not on how many replicates are asked for or in which pieces.

mod rows;
mod sufficient;

use crate::error::ModelError;
use crate::family::Component;
use crate::fitting::{Control, Estimate, Fit, HalfCriterion, estimate};
use crate::likelihood::data::Data;
use crate::likelihood::laplace::Laplace;
use crate::likelihood::profiled::Profiled;
use crate::optimizer::{Settings, Update};
use crate::simulation::Effects;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use rows::Rows;
use std::ops::Range;
use std::sync::Arc;
use sufficient::Sufficient;

/// Rows above which a response of one grouping factor is drawn as its sufficient statistics: below, drawing rows costs
/// little beside the search, and the responses are those of [`Fit::simulate`].
const MANY_ROWS: usize = 2000;

/// The estimates of one replicate.
#[derive(Clone, Debug)]
pub struct Replicate {
    /// Whether the search ended at a maximum.
    pub converged: bool,
    /// Whether a covariance is singular there.
    pub singular: bool,
    /// The maximised log likelihood.
    pub loglik: f64,
    /// Residual standard deviation or the family's dispersion; NaN where it has a predictor that varies.
    pub sigma: f64,
    /// Natural parameters, as [`Fit::natural_parameters`].
    pub parameters: Vec<f64>,
}

/// A workspace that is refitted again and again.
enum Workspace {
    Profiled(Box<Profiled>),
    Laplace(Box<Laplace>),
}

impl Fit {
    /// Replicates `which` of the parametric bootstrap: random effects and residuals drawn afresh.
    pub fn bootstrap(&self, which: Range<usize>, seed: u64, control: &Control) -> Vec<Replicate> {
        if self.is_marginal() {
            return which.into_par_iter().map(|replicate| self.refit_marginal(replicate, seed, control)).collect();
        }
        let rows = Rows::new(self);
        let sufficient = (self.data.y.len() > MANY_ROWS).then(|| Sufficient::new(self)).flatten();
        let units = self.units();
        which
            .into_par_iter()
            .map_init(
                || self.workspace(),
                |workspace, replicate| {
                    let mut rng = stream(seed, replicate);
                    match workspace {
                        Workspace::Profiled(profiled) => {
                            let drawn = match &sufficient {
                                Some(sufficient) => {
                                    profiled.set_statistics(sufficient.draw(&mut rng));
                                    Ok(())
                                }
                                None => profiled.set_response(&rows.draw(self, &mut rng)),
                            };
                            drawn.map_or_else(|_| self.nothing(), |()| self.refit_profiled(profiled, &units, control))
                        }
                        Workspace::Laplace(laplace) => {
                            laplace.data = Arc::new(self.data_with(rows.draw(self, &mut rng)));
                            self.refit_laplace(laplace, &units, control)
                        }
                    }
                },
            )
            .collect()
    }

    /// The same replicates as whole fits, each with its verdict; rows are drawn whatever their number.
    ///
    /// # Errors
    /// [`ModelError`] of the first replicate whose response does not determine the likelihood.
    pub fn bootstrap_fits(&self, which: Range<usize>, seed: u64, control: &Control) -> Result<Vec<Self>, ModelError> {
        let rows = Rows::new(self);
        which
            .into_par_iter()
            .map(|replicate| {
                let y = if self.is_marginal() {
                    self.drawn(replicate, seed)
                } else {
                    rows.draw(self, &mut stream(seed, replicate))
                };
                self.refit(y, self.data.trials.clone(), control)
            })
            .collect()
    }

    /// Fixed effects of every predictor in the user's units, then for every term its standard deviations and the
    /// correlations of columns (0, 1), (0, 2), ..., (1, 2), ..., NaN where a standard deviation is zero; then for every term
    /// the parameters of its coupling.
    pub fn natural_parameters(&self) -> Vec<f64> {
        self.natural(&self.beta, &self.theta)
    }

    fn natural(&self, beta: &[Vec<f64>], theta: &[f64]) -> Vec<f64> {
        let design = &self.data.design;
        let mut out: Vec<f64> =
            design.fixed.iter().zip(beta).flat_map(|(fixed, beta)| fixed.to_original(beta)).collect();
        for (term, place) in design.places.iter().enumerate() {
            let p = place.width;
            let lambda = design.factor_in_original(term, &theta[design.template.theta_range(term)]);
            let product = |i: usize, j: usize| lambda.chunks_exact(p).map(|column| column[i] * column[j]).sum::<f64>();
            let sds: Vec<f64> = (0..p).map(|i| product(i, i).sqrt()).collect();
            out.extend(&sds);
            for i in 0..p {
                for j in i + 1..p {
                    let scale = sds[i] * sds[j];
                    out.push(if scale > 0.0 { (product(i, j) / scale).clamp(-1.0, 1.0) } else { f64::NAN });
                }
            }
        }
        for place in &design.places {
            if let Some(coupling) = design.template.coupling(place.grouping) {
                let own = &theta[design.template.coupling_range(place.grouping)];
                out.extend((0..own.len()).map(|m| coupling.natural(own, m).0));
            }
        }
        out
    }

    fn workspace(&self) -> Workspace {
        match self.profiled() {
            Some(profiled) => Workspace::Profiled(Box::new(profiled.clone())),
            None => Workspace::Laplace(Box::new(Laplace::new(self.data.clone(), self.method()))),
        }
    }

    fn data_with(&self, y: Vec<f64>) -> Data {
        let old = &self.data;
        let (trials, weights) = (old.trials.clone(), old.weights.clone());
        Data { y, trials, weights, family: old.family.clone(), design: old.design.clone() }
    }

    /// The response of a replicate with all random effects new.
    fn drawn(&self, replicate: usize, seed: u64) -> Vec<f64> {
        let effects = vec![Effects::New; self.data.design.places.len()];
        self.simulate_replicates(replicate..replicate + 1, seed, &effects, None, None)
    }

    fn refit_marginal(&self, replicate: usize, seed: u64, control: &Control) -> Replicate {
        let Ok(fit) = self.refit(self.drawn(replicate, seed), None, control) else { return self.nothing() };
        let verdict = &fit.optimum.verdict;
        Replicate {
            converged: verdict.status.is_converged(),
            singular: verdict.is_singular(),
            loglik: fit.loglik,
            sigma: fit.data.design.fixed[1].to_original(&fit.beta[1])[0].exp(),
            parameters: fit.natural_parameters(),
        }
    }

    fn refit_profiled(&self, profiled: &mut Profiled, units: &[f64], control: &Control) -> Replicate {
        let design = &self.data.design;
        let constant = if profiled.reml() { design.fixed[0].log_det() } else { 0.0 };
        let mut objective = HalfCriterion { profiled, constant };
        let theta = 0..design.template.n_theta();
        let settings = settings(control, Update::RankOne);
        let found = estimate(&mut objective, &self.optimum.x, &settings, &design.template, theta, units);
        let Some(solution) = profiled.solution(&found.x) else { return self.nothing() };
        let sigma = solution.sigma;
        let theta = self.data.design.template.times(&found.x, sigma);
        let dispersion = design.fixed[1].to_rotated(&[sigma.ln()]);
        Replicate { parameters: self.natural(&[solution.beta, dispersion], &theta), ..found.replicate(sigma) }
    }

    fn refit_laplace(&self, laplace: &mut Laplace, units: &[f64], control: &Control) -> Replicate {
        let (design, theta) = (&self.data.design, self.layout.theta.clone());
        let assumed = self.assumed(None).expect("the fit was made under these assumptions");
        laplace.set_start_mode(self.mode().to_vec());
        let settings = settings(control, Update::RankOne);
        let found = {
            let mut objective = assumed.objective(Box::new(&mut *laplace));
            estimate(&mut *objective, self.parameters(), &settings, &design.template, theta.clone(), units)
        };
        if !found.value.is_finite() {
            return self.nothing();
        }
        let dispersion = self.data.family.components().iter().position(|c| *c == Component::Disp);
        let varies = |k: usize| self.common_predictor(k).is_none();
        let sigma = if self.data.y.is_empty() || dispersion.is_some_and(varies) {
            f64::NAN
        } else {
            self.data.family.sigma(&laplace.eta().iter().map(|eta| eta[0]).collect::<Vec<_>>())
        };
        let replicate = found.replicate(sigma);
        Replicate {
            loglik: replicate.loglik - assumed.log_prior(&found.x),
            parameters: self.natural(&laplace.beta(), &found.x[theta]),
            ..replicate
        }
    }

    /// A replicate that could not be fitted.
    fn nothing(&self) -> Replicate {
        Replicate {
            converged: false,
            singular: false,
            loglik: f64::NAN,
            sigma: f64::NAN,
            parameters: vec![f64::NAN; self.natural_parameters().len()],
        }
    }
}

impl Estimate {
    fn replicate(&self, sigma: f64) -> Replicate {
        Replicate {
            converged: self.converged,
            singular: self.singular,
            loglik: -self.value,
            sigma,
            parameters: Vec::new(),
        }
    }
}

fn settings(control: &Control, update: Update) -> Settings {
    let stop = control.stop.clone();
    Settings { max_iterations: control.max_iterations, gradient_tolerance: control.gradient_tolerance, update, stop }
}

fn stream(seed: u64, replicate: usize) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(replicate as u64);
    rng
}
