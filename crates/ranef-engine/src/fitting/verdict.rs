//! One structured judgement of where a fit ended, from analytic quantities only.

/// How a fit ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// A minimum with a positive definite Hessian.
    Converged,
    /// A minimum with a random-effects covariance that is not of full rank: an ordinary result.
    ConvergedSingular,
    /// A minimum at the edge of the family (for example no overdispersion left): the parameter at the edge has no
    /// standard error.
    BoundaryFamily,
    /// The Hessian has a negative eigenvalue.
    Saddle,
    /// The Hessian has an eigenvalue of zero: some parameters are not identified by these data.
    Flat,
    /// Some coefficients run to infinity: the response is separated, and the likelihood has no maximum.
    Separated,
    /// The likelihood rises without bound as a parameter of the family runs away.
    Unbounded,
    /// Searches from elsewhere ended at another maximum, nearly as high: there may be more.
    SeveralMaxima,
    /// The residuals are so small beside the response that the likelihood is lost in rounding.
    Imprecise,
    /// The iterations were used up.
    MaxIterations,
    /// The time was.
    TimeLimit,
    /// The fitted mean that the residual variance depends on and the estimates do not settle on each other.
    Unsettled,
    /// The search ran to a point at which the distribution of some group's effects is no longer close to normal, so that
    /// Laplace's approximation means nothing.
    Breakdown,
    /// No point with a finite likelihood and a small gradient was found.
    Failed,
}

impl Status {
    /// Every way to end.
    pub const ALL: [Self; 14] = [
        Self::Converged,
        Self::ConvergedSingular,
        Self::BoundaryFamily,
        Self::Saddle,
        Self::Flat,
        Self::Separated,
        Self::Unbounded,
        Self::SeveralMaxima,
        Self::Imprecise,
        Self::MaxIterations,
        Self::TimeLimit,
        Self::Unsettled,
        Self::Breakdown,
        Self::Failed,
    ];

    /// The name used in every language.
    pub fn name(self) -> &'static str {
        match self {
            Self::Converged => "converged",
            Self::ConvergedSingular => "converged_singular",
            Self::BoundaryFamily => "boundary_family",
            Self::Saddle => "saddle",
            Self::Flat => "flat",
            Self::Separated => "separated",
            Self::Unbounded => "unbounded",
            Self::SeveralMaxima => "several_maxima",
            Self::Imprecise => "imprecise",
            Self::MaxIterations => "max_iter",
            Self::TimeLimit => "time_limit",
            Self::Unsettled => "unsettled",
            Self::Breakdown => "breakdown",
            Self::Failed => "failed",
        }
    }

    /// Whether the estimates can be trusted as a maximum of the likelihood.
    pub fn is_converged(self) -> bool {
        matches!(self, Self::Converged | Self::ConvergedSingular | Self::BoundaryFamily)
    }

    /// What happened, in a sentence.
    pub fn message(self) -> &'static str {
        match self {
            Self::Converged => "converged to a maximum of the likelihood",
            Self::ConvergedSingular => {
                "converged to a maximum of the likelihood at which a random-effects covariance is singular"
            }
            Self::BoundaryFamily => "converged to a maximum of the likelihood at the edge of the family",
            Self::Saddle => "ended at a point from which the likelihood still increases in some direction",
            Self::Flat => "the likelihood does not depend on some combination of parameters",
            Self::Separated => {
                "some coefficients run to infinity: the response is separated, and the likelihood has no maximum"
            }
            Self::Unbounded => "the likelihood rises without bound towards the edge of the family",
            Self::SeveralMaxima => {
                "the likelihood has several maxima for different shapes of the distribution; this is the highest one found"
            }
            Self::Imprecise => {
                "the residuals are so small beside the response that its likelihood cannot be told in double precision"
            }
            Self::MaxIterations => "the iterations were used up before the gradient was small",
            Self::TimeLimit => "the time limit was reached before a maximum of the likelihood was found and confirmed",
            Self::Unsettled => {
                "the estimates and the fitted mean, on which the residual variance depends, do not settle on each other"
            }
            Self::Breakdown => {
                "the Laplace approximation breaks down: the effects of some group are far from normal given the data"
            }
            Self::Failed => "no maximum of the likelihood was found",
        }
    }

    /// What to try, in a sentence.
    pub fn advice(self) -> &'static str {
        match self {
            Self::Converged => "",
            Self::ConvergedSingular => {
                "An ordinary result: the data do not support all of the random effects asked for. The terms of rank \
                 below their size can be simplified without loss of likelihood."
            }
            Self::BoundaryFamily => {
                "Consider the simpler model (for example poisson in place of nbinom2, or residuals without the \
                 correlation that is at its end)."
            }
            Self::Saddle | Self::MaxIterations => {
                "Raise max_iter in Control, start elsewhere, or simplify the random effects."
            }
            Self::TimeLimit => "Raise max_seconds in Control, or simplify the model.",
            Self::Separated => {
                "Estimates of the other parameters stand. Combine levels, drop the predictor, give its coefficient a \
                 prior, or drop the zero-inflation part where it has nothing to explain."
            }
            Self::Unbounded => {
                "Some rows are fitted without error, so that their density has no limit: too few rows bear on a parameter \
                 of the family. Hold it at a value, give it a prior, or take a simpler family."
            }
            Self::SeveralMaxima => {
                "See fit.all_fit() for others. The data do not tell these shapes apart: hold the shape at a value, give it a \
                 prior, or take a family without it."
            }
            Self::Imprecise => {
                "Is the response computed from the grouping factor or the predictors? Then there is nothing to estimate; else \
                 subtract what is known of it."
            }
            Self::Flat => "Drop or combine the parameters named, or collect data that tell them apart.",
            Self::Breakdown => {
                "Drop random slopes or the zero-inflation part: the data are too few to tell them apart."
            }
            Self::Unsettled => {
                "Let the dispersion depend on a covariate, power(x), or on a column of fitted values of a simpler model."
            }
            Self::Failed => "Check the response and the predictors for extreme values, and simplify the model.",
        }
    }
}

/// What is known about one term's covariance at the optimum.
#[derive(Clone, Debug)]
pub struct TermVerdict {
    /// Rank of Lambda.
    pub rank: usize,
    /// Number of columns of the term.
    pub size: usize,
    /// Singular values of Lambda in scaled columns, descending.
    pub singular_values: Vec<f64>,
    /// Smallest derivative of the objective with respect to variance added where there is none; at a maximum of the
    /// likelihood it is not negative. `None` for a term of full rank.
    pub kkt: Option<f64>,
}

/// The verdict of a fit.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// How it ended.
    pub status: Status,
    /// sqrt(g' H^-1 g) on the free parameters: the distance to the optimum in standard errors.
    pub gradient_scaled: f64,
    /// Largest absolute component of the gradient.
    pub gradient_max: f64,
    /// Eigenvalues of the outer Hessian, scaled to a unit diagonal, on the free parameters.
    pub hessian_values: Vec<f64>,
    /// Outer parameters in flat or descending directions.
    pub flat: Vec<usize>,
    /// (predictor, column among those kept) of each coefficient that runs to infinity.
    pub separated: Vec<(usize, usize)>,
    /// Outer parameters at the edge of the family.
    pub boundary: Vec<usize>,
    /// One entry per term.
    pub terms: Vec<TermVerdict>,
    /// Newton decrement left in the inner problem.
    pub inner_decrement: f64,
    /// Whether the inner Hessian is positive definite at the mode.
    pub inner_definite: bool,
}

impl Verdict {
    /// Whether a term's covariance is not of full rank.
    pub fn is_singular(&self) -> bool {
        self.terms.iter().any(|term| term.rank < term.size)
    }
}
