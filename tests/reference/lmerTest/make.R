# Tests of linear mixed models by lmerTest and pbkrtest:  Rscript tests/reference/lmerTest/make.R   (from the root of the
# repository). Writes tests/reference/lmerTest/answers.json. Unbalanced data are made from the package's by leaving out rows.
suppressMessages({ library(jsonlite); library(lmerTest); library(pbkrtest) })
here <- "tests/reference"
read_table <- function(name) {
  cards <- fromJSON(file.path("python/ranef/datasets/tables", paste0(name, ".json")), simplifyVector = FALSE)$columns
  path <- file.path("python/ranef/datasets/tables", paste0(name, ".csv"))
  d <- read.csv(if (file.exists(path)) path else paste0(path, ".gz"), colClasses = "character")
  for (card in cards) d[[card$name]] <- if (card$kind == "factor")
    factor(d[[card$name]], levels = unlist(card$levels), ordered = isTRUE(card$ordered)) else as.numeric(d[[card$name]])
  d
}
read_other <- function(name) {
  d <- read.csv(file.path(here, "data", paste0(name, ".csv.gz")), colClasses = "character")
  cards <- fromJSON(file.path(here, "data", "factors.json"), simplifyVector = FALSE)[[name]]
  for (column in names(d)) d[[column]] <- if (column %in% names(cards))
    factor(d[[column]], levels = unlist(cards[[column]]$levels), ordered = cards[[column]]$ordered) else as.numeric(d[[column]])
  d
}
plain <- function(d) { for (v in names(d)) if (is.ordered(d[[v]])) d[[v]] <- factor(d[[v]], ordered = FALSE); d }
# Every row but those whose number is a multiple of k.
thinned <- function(d, k) d[seq_len(nrow(d)) %% k != 0, ]
cases <- list(
  cake = list("angle ~ recipe * temperature + (1 | recipe:replicate)", "cake"),
  dyestuff = list("Yield ~ 1 + (1 | Batch)", "dyestuff"),
  machines = list("score ~ Machine + (1 | Worker) + (1 | Worker:Machine)", "machines"),
  oats = list("yield ~ nitro + Variety + (1 | Block/Variety)", "oats"),
  pastes = list("strength ~ 1 + (1 | batch/cask)", "pastes"),
  sleepstudy = list("Reaction ~ Days + (Days | Subject)", "sleepstudy"),
  sleepstudy_uncorrelated = list("Reaction ~ Days + (1 | Subject) + (0 + Days | Subject)", "sleepstudy"),
  sleepstudy_thinned = list("Reaction ~ Days + I(Days^2) + (Days | Subject)", "sleepstudy", 4),
  orthodont_thinned = list("distance ~ age * Sex + (age | Subject)", "orthodont", 5),
  oats_thinned = list("yield ~ nitro * Variety + (1 | Block) + (1 | Block:Variety)", "oats", 5),
  cake_thinned = list("angle ~ recipe * temp + (1 | replicate) + (1 | recipe:replicate)", "cake", 3),
  cake_cells = list("angle ~ recipe * temperature + (1 | replicate)", "cake_cells", 7),
  insteval_first = list("y ~ service * studage + (1 | s) + (1 | d)", "insteval_first"),
  beets = list("sugpct ~ block + sow + harvest + (1 | block:harvest)", "beets"),
  tvbo = list("Sharpnessofmovement ~ TVset * Picture + (1 | Assessor) + (1 | Assessor:TVset)", "tvbo"),
  tvbo_one = list("Coloursaturation ~ TVset * Picture + (1 | Assessor)", "tvbo"))
data_of <- function(case) {
  name <- case[[2]]
  d <- switch(name,
    cake_cells = { d <- plain(read_table("cake")); d[!(d$recipe == "A" & d$temperature == "225"), ] },
    insteval_first = { d <- plain(read_table("insteval")); droplevels(d[seq(1, 600), ]) },
    beets = read_other("beets"), tvbo = read_other("tvbo"), read_table(name))
  if (length(case) > 2) droplevels(thinned(d, case[[3]])) else d
}
strict <- lmerControl(optimizer = "bobyqa", optCtrl = list(rhobeg = 0.02, rhoend = 1e-9, maxfun = 1e5), calc.derivs = FALSE)
as_columns <- function(table) c(list(row = rownames(table)), as.list(as.data.frame(table)))
answers <- list(made_by = list(r = as.character(getRversion()), lme4 = as.character(packageVersion("lme4")),
  lmerTest = as.character(packageVersion("lmerTest")), pbkrtest = as.character(packageVersion("pbkrtest"))))
for (name in names(cases)) {
  case <- cases[[name]]
  d <- data_of(case)
  fit <- lmer(as.formula(case[[1]]), data = d, control = strict)
  found <- list(formula = case[[1]], data = case[[2]], thinned = if (length(case) > 2) case[[3]], loglik = as.numeric(logLik(fit)),
                singular = isSingular(fit))
  for (ddf in c("Satterthwaite", "Kenward-Roger")) {
    own <- list(coefficients = as_columns(coef(summary(fit, ddf = ddf))))
    for (type in 1:3) if (length(attr(terms(fit), "term.labels")) > 0)
      own[[paste0("anova", type)]] <- as_columns(anova(fit, type = type, ddf = ddf))
    found[[tolower(ddf)]] <- own
  }
  found$vcov_kr <- as.matrix(vcovAdj(fit))
  if (name != "insteval_first") found$ranova <- as_columns(ranova(fit))
  if (length(attr(terms(fit), "term.labels")) > 0) {
    L <- cbind(0, diag(length(fixef(fit)) - 1))
    kr <- KRmodcomp(fit, L)$test
    found$all_kr <- list(statistic = kr$stat[1], ndf = kr$ndf[1], ddf = kr$ddf[1], scale = kr$F.scaling[1], p = kr$p.value[1])
    sat <- contestMD(fit, L)
    found$all_satterthwaite <- list(statistic = sat[["F value"]], ndf = sat$NumDF, ddf = sat$DenDF, p = sat[["Pr(>F)"]])
  }
  answers[[name]] <- found
  cat(name, "\n")
}
write(toJSON(answers, digits = 10, auto_unbox = TRUE, na = "null", pretty = FALSE), file.path(here, "lmerTest", "answers.json"))
