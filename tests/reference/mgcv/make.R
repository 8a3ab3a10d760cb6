# Fit smooth models by mgcv and store its answers:  Rscript tests/reference/mgcv/make.R   (from the root of the repository)
# gam(method = "REML") gives fitted values, standard errors, effective degrees of freedom and smoothing parameters;
# gamm (by nlme) the restricted likelihood.
suppressMessages({ library(jsonlite); library(mgcv) })
here <- "tests/reference"
factors <- fromJSON(file.path(here, "data", "factors.json"), simplifyVector = FALSE)$sim_curves
d <- read.csv(file.path(here, "data", "sim_curves.csv.gz"))
for (column in names(factors)) d[[column]] <- factor(d[[column]], levels = unlist(factors[[column]]$levels))

# A basis over the plane depends, in mgcv, on the unit of the coordinates; ranef measures them in the largest distance of
# one from its mean, so the comparison is of coordinates in that unit.
unit <- max(abs(d$x - mean(d$x)), abs(d$z - mean(d$z)))
d$u <- d$x / unit
d$v <- d$z / unit

# The standard deviation of the penalised part as ranef scales it: its functions orthogonal to the unpenalised ones over
# the rows, a row's sum of squares one on average.
scaled_sd <- function(fit, smooth, sp) {
  rows <- fit$model
  if (smooth$by != "NA" && !is.null(smooth$by.level)) rows[[smooth$by]][] <- smooth$by.level
  if (smooth$by != "NA" && is.null(smooth$by.level)) rows[[smooth$by]] <- 1
  X <- PredictMat(smooth, rows)
  e <- eigen(smooth$S[[1]], symmetric = TRUE)
  bent <- seq_len(smooth$rank)
  Z <- X %*% e$vectors[, bent] %*% diag(1 / sqrt(e$values[bent]))
  free <- cbind(1, X %*% e$vectors[, -bent])
  Z <- qr.resid(qr(free), Z)
  sqrt(fit$scale / sp * mean(rowSums(Z^2)))
}

cases <- list(
  tp = list(ranef = "y_g ~ s(x)", gam = y_g ~ s(x)),
  tp_k20 = list(ranef = "y_g ~ s(x, k = 20)", gam = y_g ~ s(x, k = 20)),
  tp_group = list(ranef = "y_g ~ s(x) + (1 | g)", gam = y_g ~ s(x) + s(g, bs = "re"), gamm = y_g ~ s(x), random = TRUE),
  cr_group = list(ranef = "y_g ~ s(x, bs = 'cr') + (1 | g)", gam = y_g ~ s(x, bs = "cr") + s(g, bs = "re"),
                  gamm = y_g ~ s(x, bs = "cr"), random = TRUE),
  cc = list(ranef = "y_hour ~ s(hour, bs = 'cc', k = 12, knots = c(0, 24))", gam = y_hour ~ s(hour, bs = "cc", k = 12),
            knots = list(hour = c(0, 24))),
  by_factor = list(ranef = "y_by ~ f + s(x, by = f) + (1 | g)", gam = y_by ~ f + s(x, by = f) + s(g, bs = "re"),
                   gamm = y_by ~ f + s(x, by = f), random = TRUE),
  by_number = list(ranef = "y ~ s(x, by = z)", gam = y ~ s(x, by = z)),
  surface = list(ranef = "y ~ s(u, v)", gam = y ~ s(u, v)),
  two = list(ranef = "y ~ s(x) + s(z)", gam = y ~ s(x) + s(z)),
  t2 = list(ranef = "y ~ t2(x, z)", gam = y ~ t2(x, z)),
  poisson = list(ranef = "count ~ s(x) + (1 | g)", gam = count ~ s(x) + s(g, bs = "re"), family = "poisson"),
  poisson_alone = list(ranef = "count ~ s(x, k = 15)", gam = count ~ s(x, k = 15), family = "poisson")
)
new <- data.frame(x = c(-1, 0.5, 4, 7.5, 11), z = c(-0.5, 0, 1, 0.3, -1), hour = c(-2, 0, 11.5, 24, 30),
                  f = factor(c("a", "b", "c", "a", "b")), g = factor("g01", levels = levels(d$g)))
new$u <- new$x / unit
new$v <- new$z / unit
for (name in names(cases)) {
  case <- cases[[name]]
  family <- if (is.null(case$family)) "gaussian" else case$family
  fit <- gam(case$gam, family = family, data = d, method = "REML", knots = case$knots,
             control = gam.control(epsilon = 1e-11, newton = list(conv.tol = 1e-10)))
  curves <- Filter(function(s) !inherits(s, "random.effect"), fit$smooth)
  edf <- vapply(curves, function(s) sum(fit$edf[s$first.para:s$last.para]), 0)
  names(edf) <- vapply(curves, function(s) s$label, "")
  sp <- fit$full.sp
  if (is.null(sp)) sp <- fit$sp
  sd <- if (name == "t2") NULL else vapply(seq_along(curves), function(k) scaled_sd(fit, curves[[k]], sp[k]), 0)
  keep <- !grepl("s\\(g\\)", vapply(fit$smooth, function(s) s$label, ""))
  without <- vapply(fit$smooth[!keep], function(s) s$label, "")
  p <- predict(fit, new, se.fit = TRUE, exclude = if (length(without)) without else NULL)
  answer <- list(id = paste0("mgcv_", name), data = "sim_curves", formula = case$ranef, family = family,
                 made_by = list(R = as.character(getRversion()), mgcv = as.character(packageVersion("mgcv")),
                                nlme = as.character(packageVersion("nlme")), call = paste(deparse(case$gam), collapse = "")),
                 fitted = unname(fitted(fit)), edf = as.list(edf), sd = sd, scale = fit$scale,
                 new = lapply(new, as.character), new_link = unname(as.vector(p$fit)), new_se = unname(as.vector(p$se.fit)))
  if (family == "gaussian" && name != "t2") {
    lme <- gamm(if (is.null(case$gamm)) case$gam else case$gamm, data = d, method = "REML", knots = case$knots,
                random = if (is.null(case$random)) NULL else list(g = ~1),
                control = lmeControl(tolerance = 1e-10, msTol = 1e-12, maxIter = 500, msMaxIter = 500, niterEM = 0))
    # The restricted likelihood depends on the scale of X; with this added it does not.
    X <- model.matrix(formula(lme$lme), lme$lme$data)
    answer$reml_free_of_scale <- as.numeric(logLik(lme$lme)) + as.numeric(determinant(crossprod(X))$modulus) / 2
    answer$lme_sigma <- lme$lme$sigma
  }
  write_json(answer, file.path(here, "mgcv", paste0(name, ".json")), auto_unbox = TRUE, digits = NA, pretty = 0)
  cat(name, "edf", edf, "sd", unlist(sd), "reml", answer$reml_free_of_scale, "\n")
}
