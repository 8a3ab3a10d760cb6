# Marginal means, contrasts, slopes and effects by R's emmeans and ggeffects, as they answer:
#   Rscript tests/reference/marginal_means/make.R        (from the root of the repository)
suppressMessages({ library(jsonlite); library(lme4); library(lmerTest); library(glmmTMB); library(emmeans); library(ggeffects) })
here <- "tests/reference"
tables <- "python/ranef/datasets/tables"
emm_options(msg.interaction = FALSE, msg.nesting = FALSE, lmerTest.limit = 1e5, pbkrtest.limit = 1e5)
options(digits = 15)

read_data <- function(name) {
  columns <- fromJSON(file.path(tables, paste0(name, ".json")), simplifyVector = FALSE)$columns
  file <- Filter(file.exists, file.path(tables, paste0(name, c(".csv", ".csv.gz"))))[1]
  d <- read.csv(file, check.names = FALSE, na.strings = "")
  for (column in columns) if (column$kind == "factor") {
    d[[column$name]] <- factor(as.character(d[[column$name]]), levels = unlist(column$levels), ordered = isTRUE(column$ordered))
  }
  d
}
TIGHT <- lmerControl(optimizer = "bobyqa", optCtrl = list(rhoend = 1e-12))
tab <- function(x) lapply(as.list(as.data.frame(x)), function(column) if (is.factor(column)) as.character(column) else column)
both <- function(e, ...) tab(summary(e, infer = c(TRUE, TRUE), ...))
answers <- list()
keep <- function(model, name, value) tryCatch(answers[[model]][[name]] <<- value, error = function(e) message(model, " ", name, ": ", conditionMessage(e)))

# Linear mixed models; degrees of freedom by all three methods.
d <- read_data("machines")
m <- lmer(score ~ Machine + (1 | Worker) + (1 | Worker:Machine), d, control = TIGHT)
for (df in c("kenward-roger", "satterthwaite", "asymptotic")) {
  e <- emmeans(m, ~ Machine, lmer.df = df)
  keep("machines", paste0("emmeans_", df), both(e))
  keep("machines", paste0("pairs_", df), both(pairs(e)))
  keep("machines", paste0("joint_tests_", df), tab(joint_tests(m, lmer.df = df)))
}
e <- emmeans(m, ~ Machine, lmer.df = "asymptotic")
e@dffun <- function(k, dfargs) 10
for (adjust in c("none", "tukey", "sidak", "holm", "bonferroni", "fdr", "scheffe")) keep("machines", paste0("pairs_df10_", adjust), both(pairs(e, adjust = adjust)))
for (adjust in c("none", "mvt")) keep("machines", paste0("trt_df10_", adjust), both(contrast(e, "trt.vs.ctrl", adjust = adjust)))
for (method in c("eff", "poly", "consec", "revpairwise")) keep("machines", paste0(method, "_df10"), both(contrast(e, method, adjust = "none")))
keep("machines", "equivalence", tab(test(pairs(e, adjust = "none"), delta = 9, side = "equivalence")))
keep("machines", "noninferiority", tab(test(pairs(e, adjust = "none"), delta = 9, side = "noninferiority")))
keep("machines", "greater", tab(test(pairs(e, adjust = "none"), null = -10, side = ">")))
keep("machines", "own", both(contrast(e, list(later = c(1, -0.5, -0.5)))))

d <- read_data("oats")
m <- lmer(yield ~ nitro * Variety + (1 | Block/Variety), d, control = TIGHT)
for (df in c("kenward-roger", "satterthwaite", "asymptotic")) {
  e <- emmeans(m, ~ Variety | nitro, at = list(nitro = c(0.2, 0.6)), lmer.df = df)
  keep("oats", paste0("emmeans_", df), both(e))
  keep("oats", paste0("pairs_", df), both(pairs(e)))
  t <- emtrends(m, ~ Variety, var = "nitro", lmer.df = df)
  keep("oats", paste0("emtrends_", df), both(t))
  keep("oats", paste0("emtrends_pairs_", df), both(pairs(t)))
  keep("oats", paste0("joint_tests_", df), tab(joint_tests(m, lmer.df = df)))
}
e <- emmeans(m, ~ Variety * nitro, at = list(nitro = c(0, 0.2, 0.6)), lmer.df = "asymptotic")
keep("oats", "interaction", both(contrast(e, interaction = c("pairwise", "poly"))))
keep("oats", "all_pairs", both(pairs(e)))

# Curved numeric variables.
d <- read_data("sleepstudy")
m <- lmer(Reaction ~ poly(Days, 2) + (1 | Subject), d, control = TIGHT)
keep("poly", "emmeans", both(emmeans(m, ~ Days, at = list(Days = c(0, 4, 9)), lmer.df = "asymptotic")))
m <- lmer(Reaction ~ Days + I(Days^2) + log(Days + 1) + (1 | Subject), d, control = TIGHT)
keep("powers", "emmeans", both(emmeans(m, ~ Days, at = list(Days = c(0, 4, 9)), lmer.df = "asymptotic")))
keep("powers", "mean", both(emmeans(m, ~ 1, lmer.df = "asymptotic")))

# A transformed response.
m <- lmer(log(Reaction) ~ factor(Days) + (1 | Subject), d[d$Days < 3, ], control = TIGHT)
keep("logged", "link", both(emmeans(m, ~ Days, lmer.df = "asymptotic")))
keep("logged", "response", both(emmeans(m, ~ Days, lmer.df = "asymptotic", type = "response")))
keep("logged", "ratios", both(pairs(emmeans(m, ~ Days, lmer.df = "asymptotic", type = "response"))))

# Unbalanced factors, and weights.
d <- read_data("arabidopsis")
for (v in c("nutrient", "amd", "status", "rack")) d[[v]] <- factor(as.character(d[[v]]), levels = levels(factor(d[[v]])))
m <- lmer(total.fruits ~ nutrient * amd + amd * status + rack + (1 | popu), d, control = TIGHT)
for (w in c("equal", "proportional", "outer", "cells", "flat")) keep("weights", w, both(emmeans(m, ~ amd, weights = w, lmer.df = "asymptotic")))
keep("weights", "by", both(emmeans(m, ~ amd | status, weights = "proportional", lmer.df = "asymptotic")))
keep("weights", "joint_tests", tab(joint_tests(m, lmer.df = "asymptotic")))
keep("weights", "joint_tests_by", tab(joint_tests(m, by = "amd", lmer.df = "asymptotic")))
keep("weights", "interaction", both(contrast(emmeans(m, ~ amd * status, lmer.df = "asymptotic"), interaction = "pairwise")))

# Cells without data: some means cannot be estimated.
d2 <- d[!(d$amd == "clipped" & d$status == "Transplant"), ]
m <- lmer(total.fruits ~ amd * status + rack + (1 | popu), d2, control = TIGHT)
keep("empty", "cells", both(emmeans(m, ~ amd * status, lmer.df = "asymptotic")))
keep("empty", "amd", both(emmeans(m, ~ amd, lmer.df = "asymptotic")))
keep("empty", "pairs", both(pairs(emmeans(m, ~ status | amd, lmer.df = "asymptotic"), adjust = "none")))
keep("empty", "joint_tests", tab(joint_tests(m, lmer.df = "asymptotic")))

# A factor nested in another.
d <- read_data("pastes")
d$lot <- factor(paste0(d$batch, d$cask))
d$half <- factor(ifelse(as.integer(d$batch) <= 4, "first", "second"))
m <- lmer(strength ~ half + half:batch + (1 | lot), d, control = TIGHT)
keep("nested", "half", both(emmeans(m, ~ half, lmer.df = "asymptotic")))
keep("nested", "batch", both(emmeans(m, ~ batch, lmer.df = "asymptotic")))

# Generalised linear mixed models.
d <- read_data("cbpp")
m <- glmer(cbind(incidence, size - incidence) ~ period + (1 | herd), d, family = binomial,
           control = glmerControl(optimizer = "bobyqa", tolPwrss = 1e-12, optCtrl = list(rhoend = 1e-11)))
keep("cbpp", "link", both(emmeans(m, ~ period)))
keep("cbpp", "response", both(emmeans(m, ~ period, type = "response")))
keep("cbpp", "odds_ratios", both(pairs(emmeans(m, ~ period, type = "response"))))
keep("cbpp", "differences", both(pairs(regrid(emmeans(m, ~ period)), adjust = "none")))
keep("cbpp", "ggpredict", tab(as.data.frame(ggpredict(m, "period"))))

# nlminb stops at a gradient of about one; Newton steps end at 1e-12.
polished <- function(m) {
  par <- m$fit$par
  for (i in 1:4) { H <- optimHess(par, m$obj$fn, m$obj$gr); par <- par - solve(H, as.vector(m$obj$gr(par))) }
  m$obj$fn(par)
  m$fit$par <- par
  m$fit$parfull <- m$obj$env$last.par
  m$sdr <- TMB::sdreport(m$obj, par)
  m
}
d <- read_data("owls")
m <- polished(glmmTMB(SiblingNegotiation ~ FoodTreatment * SexParent + offset(log(BroodSize)) + (1 | Nest), d, family = nbinom2, ziformula = ~ 1))
keep("owls", "loglik", as.numeric(logLik(m)))
keep("owls", "response", both(emmeans(m, ~ FoodTreatment | SexParent, type = "response", df = Inf)))
keep("owls", "ratios", both(pairs(emmeans(m, ~ FoodTreatment | SexParent, type = "response", df = Inf))))
keep("owls", "zi", both(emmeans(m, ~ 1, component = "zi", type = "response", df = Inf)))
keep("owls", "joint_tests", tab(joint_tests(m, df = Inf)))
m <- polished(glmmTMB(SiblingNegotiation ~ FoodTreatment + (1 | Nest), d, family = nbinom2))
keep("owls_plain", "ggpredict", tab(as.data.frame(ggpredict(m, "FoodTreatment"))))
m <- polished(glmmTMB(SiblingNegotiation ~ FoodTreatment * SexParent + ArrivalTime + (1 | Nest), d, family = poisson))
keep("owls_terms", "reference", tab(as.data.frame(ggpredict(m, c("ArrivalTime [22, 25.5, 29]", "FoodTreatment")))))
keep("owls_terms", "meansd", tab(as.data.frame(ggpredict(m, c("ArrivalTime [meansd]")))))
keep("owls_terms", "means", tab(as.data.frame(ggemmeans(m, c("ArrivalTime [22, 25.5, 29]", "FoodTreatment")))))
d <- read_data("sleepstudy")
m <- lmer(Reaction ~ Days + (Days | Subject), d, control = TIGHT)
keep("sleepstudy", "ggpredict", tab(as.data.frame(ggpredict(m, "Days"))))
keep("sleepstudy", "ggpredict_random", tab(as.data.frame(ggpredict(m, "Days", type = "random"))))
keep("sleepstudy", "ggpredict_levels", tab(as.data.frame(ggpredict(m, c("Days [0, 5, 9]", "Subject [308, 309, 310]"), type = "random"))))

versions <- lapply(c(R = "base", emmeans = "emmeans", ggeffects = "ggeffects", lme4 = "lme4", lmerTest = "lmerTest", pbkrtest = "pbkrtest", glmmTMB = "glmmTMB"), function(p) as.character(packageVersion(p)))
write_json(list(made_by = versions, answers = answers), file.path(here, "marginal_means", "answers.json"), digits = 15, auto_unbox = TRUE, na = "null", pretty = FALSE)
