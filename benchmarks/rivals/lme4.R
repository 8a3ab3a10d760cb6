# lme4: lmer, glmer, glmer.nb.
here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE)[1]))
source(file.path(here, "clock.R"))
suppressPackageStartupMessages(library(lme4))
version <- as.character(packageVersion("lme4"))
if (!is.null(problem$zi)) refuse(version, "no zero inflation")
if (!problem$family %in% c("gaussian", "nbinom2", "poisson", "binomial")) refuse(version, paste("no", problem$family))
form <- as.formula(problem$formula)
run(version, function() {
  if (problem$family == "gaussian") lmer(form, frame, REML = FALSE)
  else if (problem$family == "nbinom2") glmer.nb(form, frame)
  else glmer(form, frame, family = problem$family)
}, function(m) as.numeric(logLik(m)))
