# Fit the stored models again in R and print the differences from the stored answers.
#   Rscript tests/reference/rerun.R [pattern]        (from the root of the repository)
# R's default optimisers are used, so models marked default_poorer end below the stored log-likelihood.
suppressMessages({ library(jsonlite); library(lme4); library(glmmTMB) })

here <- "tests/reference"
tables <- "python/ranef/datasets/tables"

read_table <- function(folder, name, factors) {
  file <- Filter(file.exists, file.path(folder, paste0(name, c(".csv", ".csv.gz"))))[1]
  d <- read.csv(file, check.names = FALSE, colClasses = NA, na.strings = "")
  for (column in names(factors)) {
    card <- factors[[column]]
    d[[column]] <- factor(as.character(d[[column]]), levels = unlist(card$levels), ordered = isTRUE(card$ordered))
  }
  d
}

read_data <- function(name) {
  simulated <- fromJSON(file.path(here, "data", "factors.json"), simplifyVector = FALSE)
  if (name %in% names(simulated)) return(read_table(file.path(here, "data"), name, simulated[[name]]))
  columns <- fromJSON(file.path(tables, paste0(name, ".json")), simplifyVector = FALSE)$columns
  factors <- Filter(function(column) column$kind == "factor", columns)
  names(factors) <- vapply(factors, function(column) column$name, "")
  read_table(tables, name, factors)
}

pattern <- c(commandArgs(trailingOnly = TRUE), "")[1]
for (file in sort(Sys.glob(file.path(here, c("lme4", "glmmTMB"), "*.json")))) {
  case <- fromJSON(file)
  if (!grepl(pattern, case$id) || is.null(case$fixef)) next
  d <- read_data(case$data)
  fit <- suppressMessages(suppressWarnings(eval(parse(text = case$made_by$call))))
  beta <- if (inherits(fit, "glmmTMB")) fixef(fit)$cond else fixef(fit)
  cat(sprintf("%-30s logLik %13.6f  minus stored %9.1e  largest difference of beta %8.1e\n", case$id,
              as.numeric(logLik(fit)), as.numeric(logLik(fit)) - case$logLik,
              max(abs(beta - unlist(case$fixef$cond)))))
}

# Correlated and heteroscedastic residuals: the calls name their data by these words.
suppressMessages(library(nlme))
published <- function(name, factors) {
  d <- read.csv(file.path(here, "data", paste0(name, ".csv.gz")))
  for (column in factors) d[[column]] <- factor(d[[column]])
  d
}
ovary <- published("ovary", "Mare")
bw <- published("bodyweight", c("Rat", "Diet"))
chick <- published("chickweight", c("Chick", "Diet"))
dial <- published("dialyzer", c("Subject", "QB"))
pix <- published("pixel", c("Dog", "Side"))
orth <- read.csv(file.path(tables, "orthodont.csv"))
orth$Sex <- factor(orth$Sex, c("Male", "Female"))
orth$Subject <- factor(orth$Subject)
oats <- read.csv(file.path(tables, "oats.csv"))
for (file in sort(Sys.glob(file.path(here, "nlme", "*.json")))) {
  case <- fromJSON(file)
  if (!grepl(pattern, case$id)) next
  fit <- eval(parse(text = case$call))
  beta <- if (inherits(fit, "lme")) fixef(fit) else coef(fit)
  cat(sprintf("%-30s logLik %13.6f  minus stored %9.1e  largest difference of beta %8.1e\n", case$id,
              as.numeric(logLik(fit)), as.numeric(logLik(fit)) - case$logLik, max(abs(beta - unlist(case$fixef)))))
}
