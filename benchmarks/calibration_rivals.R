# lme4 and glmmTMB on the data sets of a folder: Rscript calibration_rivals.R FOLDER OUT; a line of JSON for each fit.
# FOLDER/cells.json lists the cells; <file>.csv has the data sets of a cell below each other, told apart by `number`.
suppressPackageStartupMessages({library(jsonlite); library(lme4); library(lmerTest); library(pbkrtest); library(glmmTMB)})
arguments <- commandArgs(TRUE)
folder <- arguments[1]
out <- file(arguments[2], "w")
normal <- qnorm(0.975)

write <- function(found) {
  cat(toJSON(found, auto_unbox = TRUE, digits = NA, na = "null", null = "null"), "\n", file = out, sep = "")
}

processor <- function() sum(proc.time()[1:2])

called <- function(values) {
  names(values) <- sub("^\\(Intercept\\)$", "Intercept", names(values))
  as.list(values)
}

# Ends of intervals by parameter, from two vectors with names.
ends <- function(low, high) {
  low <- called(low)
  high <- called(high)
  sapply(names(low), function(name) I(c(low[[name]], high[[name]])), simplify = FALSE)
}

spreads <- function(m, covariance, linear) {
  sds <- sqrt(diag(covariance))
  found <- c(sd = sds[[1]])
  if (length(sds) == 2) found <- c(found, sd_x = sds[[2]], cor = covariance[1, 2] / prod(sds))
  if (linear) found <- c(found, sigma = sigma(m))
  found
}

fit_lme4 <- function(p, frame, points) {
  began <- processor()
  formula <- as.formula(p$formula)
  m <- if (p$linear) lme4::lmer(formula, frame, REML = TRUE)
       else lme4::glmer(formula, frame, family = get(p$family)(), nAGQ = points)
  errors <- sqrt(diag(as.matrix(vcov(m))))
  seconds <- processor() - began
  conv <- m@optinfo$conv
  messages <- unlist(conv$lme4$messages)
  messages <- messages[!grepl("singular", messages)]
  beta <- fixef(m)
  intervals <- list(z = ends(beta - normal * errors, beta + normal * errors))
  if (p$linear) {
    as_tested <- as_lmerModLmerTest(m)
    for (ddf in c("Satterthwaite", if (p$extras) "Kenward-Roger")) {
      found <- coef(summary(as_tested, ddf = ddf))
      half <- qt(0.975, found[, "df"]) * found[, "Std. Error"]
      intervals[[tolower(ddf)]] <- ends(found[, "Estimate"] - half, found[, "Estimate"] + half)
    }
    if (p$extras && ncol(VarCorr(m)[[1]]) == 1) {
      found <- confint(m, method = "profile", quiet = TRUE)
      rownames(found) <- sub("^\\.sig01$", "sd", sub("^\\.sigma$", "sigma", rownames(found)))
      intervals$profile <- ends(found[, 1], found[, 2])
    }
  }
  list(converged = length(messages) == 0 && conv$opt == 0, singular = isSingular(m), loglik = as.numeric(logLik(m)),
       said = paste(c(messages, if (conv$opt != 0) paste("code", conv$opt)), collapse = "; "), seconds = seconds, estimates = c(called(beta), as.list(spreads(m, VarCorr(m)[[1]], p$linear))),
       errors = called(errors), intervals = intervals)
}

fit_glmmTMB <- function(p, frame, points) {
  began <- processor()
  m <- glmmTMB(as.formula(p$formula), frame, family = get(p$family)(), REML = p$linear,
               ziformula = if (is.null(p$zi)) ~0 else as.formula(p$zi))
  covariance <- vcov(m)
  errors <- sqrt(diag(as.matrix(covariance$cond)))
  seconds <- processor() - began
  beta <- fixef(m)$cond
  low <- beta - normal * errors
  high <- beta + normal * errors
  estimates <- c(called(beta), as.list(spreads(m, VarCorr(m)$cond[[1]], p$linear)))
  all_errors <- called(errors)
  add <- function(name, estimate, error) {
    low[[name]] <<- estimate - normal * error
    high[[name]] <<- estimate + normal * error
  }
  if (!is.null(p$zi)) {
    estimates$zi <- fixef(m)$zi[[1]]
    all_errors$zi <- sqrt(covariance$zi[1, 1])
    add("zi", estimates$zi, all_errors$zi)
  }
  # Standard deviations and dispersion on their log scales.
  covered <- m$sdr$cov.fixed
  parameter <- m$fit$par
  error <- sqrt(diag(covered))
  theta <- which(names(parameter) == "theta")
  scales <- if (length(theta) == 1) "sd" else c("sd", "sd_x")
  for (i in seq_along(scales)) {
    add(scales[i], parameter[[theta[i]]], error[[theta[i]]])
    low[[scales[i]]] <- exp(low[[scales[i]]])
    high[[scales[i]]] <- exp(high[[scales[i]]])
  }
  dispersion <- which(names(parameter) %in% c("betad", "betadisp"))
  if (p$linear) {
    add("sigma", parameter[[dispersion]], error[[dispersion]])
    # The log of sigma^2 in older versions of glmmTMB, of sigma in newer ones.
    power <- if (abs(log(sigma(m)) - parameter[[dispersion]]) < 1e-6) 1 else 0.5
    low[["sigma"]] <- exp(power * low[["sigma"]])
    high[["sigma"]] <- exp(power * high[["sigma"]])
  } else if (length(dispersion) && p$family == "nbinom2") {
    estimates$log_phi <- log(sigma(m))
    add("log_phi", parameter[[dispersion]], error[[dispersion]])
  }
  definite <- isTRUE(m$sdr$pdHess)
  said <- paste(c(if (m$fit$convergence != 0) m$fit$message, if (!definite) "Hessian not positive definite"), collapse = "; ")
  list(converged = m$fit$convergence == 0 && definite, singular = FALSE, loglik = -m$fit$objective, said = said,
       seconds = seconds, estimates = estimates, errors = all_errors, intervals = list(z = ends(low, high)))
}

for (p in fromJSON(file.path(folder, "cells.json"), simplifyVector = FALSE)) {
  whole <- read.csv(file.path(folder, paste0(p$file, ".csv")))
  whole$g <- factor(whole$g)
  for (number in unique(whole$number)) {
    frame <- whole[whole$number == number, ]
    p$extras <- number < p$few
    for (program in unlist(p$programs)) {
      call <- get(paste0("fit_", sub(" .*", "", program)))
      points <- if (grepl("quadrature", program)) p$points else 1L
      found <- tryCatch(suppressMessages(suppressWarnings(call(p, frame, points))),
                        error = function(e) list(converged = FALSE, singular = FALSE, loglik = NULL, seconds = NULL,
                                                  said = conditionMessage(e)))
      write(c(list(case = p$case, groups = p$groups, number = number, program = program), found))
    }
  }
}
write(list(versions = list(R = paste(R.version$major, R.version$minor, sep = "."),
                           lme4 = as.character(packageVersion("lme4")),
                           glmmTMB = as.character(packageVersion("glmmTMB")),
                           lmerTest = as.character(packageVersion("lmerTest")),
                           pbkrtest = as.character(packageVersion("pbkrtest")))))
close(out)
