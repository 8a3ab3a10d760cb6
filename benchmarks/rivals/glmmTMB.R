# glmmTMB: everything, by Laplace's approximation.
here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE)[1]))
source(file.path(here, "clock.R"))
suppressPackageStartupMessages(library(glmmTMB))
form <- as.formula(problem$formula)
zi <- if (is.null(problem$zi)) ~0 else as.formula(paste("~", problem$zi))
family <- get(problem$family)()
# Where the Hessian is not positive definite glmmTMB hides the log-likelihood, but not the objective.
run(as.character(packageVersion("glmmTMB")), function() glmmTMB(form, frame, family = family, ziformula = zi),
    function(m) -m$fit$objective)
