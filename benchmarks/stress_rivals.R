# lme4 and glmmTMB on the problems of a folder: Rscript stress_rivals.R FOLDER LIST OUT; a line of JSON for each fit.
suppressPackageStartupMessages({library(jsonlite); library(lme4); library(glmmTMB)})
arguments <- commandArgs(TRUE)
folder <- arguments[1]
asked <- fromJSON(file.path(folder, arguments[2]), simplifyVector = FALSE)
out <- file(arguments[3], "w")

write <- function(...) {
  cat(toJSON(list(...), auto_unbox = TRUE, digits = NA, na = "null", null = "null"), "\n", file = out, sep = "")
  flush(out)
}

matrices <- function(terms) lapply(terms, function(m) unname(lapply(seq_len(nrow(m)), function(i) I(as.numeric(m[i, ])))))

fit_lme4 <- function(p, frame) {
  given <- list(as.formula(p$formula), frame)
  if (!is.null(p$weights)) given$weights <- frame[[p$weights]]
  if (!is.null(p$offset)) given$offset <- frame[[p$offset]]
  if (p$linear) m <- do.call(lmer, c(given, list(REML = p$reml)))
  else {
    link <- if (is.null(p$link)) c(binomial = "logit", poisson = "log")[[p$family]] else p$link
    m <- do.call(glmer, c(given, list(family = get(p$family)(link = link))))
  }
  conv <- m@optinfo$conv
  messages <- unlist(conv$lme4$messages)
  messages <- messages[!grepl("singular", messages)]
  beta <- list(cond = I(unname(fixef(m))))
  if (p$family == "gaussian") beta$disp <- I(log(sigma(m)))
  list(loglik = as.numeric(logLik(m)), converged = length(messages) == 0 && conv$opt == 0,
       said = paste(c(messages, if (conv$opt != 0) paste("code", conv$opt)), collapse = "; "),
       beta = beta, sigma = sigma(m), covariance = matrices(lapply(VarCorr(m), as.matrix)))
}

fit_glmmTMB <- function(p, frame) {
  family <- if (is.null(p$link)) get(p$glmmTMB)() else get(p$glmmTMB)(link = p$link)
  given <- list(as.formula(p$formula), frame, family = family,
                ziformula = if (is.null(p$zi)) ~0 else as.formula(p$zi),
                dispformula = if (is.null(p$dispersion)) ~1 else as.formula(p$dispersion))
  if (!is.null(p$weights)) given$weights <- frame[[p$weights]]
  if (!is.null(p$offset)) given$offset <- frame[[p$offset]]
  if (p$linear && p$reml) given$REML <- TRUE
  m <- do.call(glmmTMB, given)
  definite <- isTRUE(m$sdr$pdHess)
  beta <- lapply(fixef(m), function(b) I(unname(b)))
  beta <- beta[vapply(beta, length, 1L) > 0]
  # The variance of a gaussian is log(sigma^2) there.
  if (p$family == "gaussian") beta$disp <- I(log(sigma(m)))
  list(loglik = -m$fit$objective, converged = m$fit$convergence == 0 && definite,
       said = paste(c(if (m$fit$convergence != 0) m$fit$message, if (!definite) "Hessian not positive definite"), collapse = "; "),
       beta = beta, sigma = sigma(m), covariance = matrices(lapply(VarCorr(m)$cond, function(v) { attributes(v) <- list(dim = dim(v)); v })))
}

for (p in asked) {
  frame <- read.csv(file.path(folder, paste0(p$name, ".csv")), stringsAsFactors = TRUE)
  for (program in unlist(p$programs)) {
    set.seed(1)
    began <- proc.time()[[3]]
    found <- tryCatch(suppressMessages(suppressWarnings(get(paste0("fit_", program))(p, frame))),
                      error = function(e) list(loglik = NULL, converged = FALSE, said = conditionMessage(e)))
    do.call(write, c(list(name = p$name, program = program, seconds = proc.time()[[3]] - began), found))
  }
}
close(out)
