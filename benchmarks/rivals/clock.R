# How an R rival is run: it reads a problem, fits it some times and prints one line of JSON.
suppressPackageStartupMessages(library(jsonlite))

arguments <- commandArgs(TRUE)
problem <- fromJSON(arguments[1], simplifyVector = FALSE)

load_columns <- function(folder) {
  kinds <- fromJSON(file.path(folder, "columns.json"), simplifyVector = FALSE)
  columns <- lapply(names(kinds), function(name) {
    path <- file.path(folder, name)
    if (identical(kinds[[name]], "number")) return(readBin(path, "double", file.size(path) / 8, 8, endian = "little"))
    codes <- readBin(path, "integer", file.size(path) / 4, 4, endian = "little")
    structure(codes + 1L, levels = unlist(kinds[[name]]), class = "factor")
  })
  names(columns) <- names(kinds)
  as.data.frame(columns)
}

frame <- load_columns(arguments[2])

peak_mb <- function() {
  line <- grep("^VmHWM:", readLines("/proc/self/status"), value = TRUE)
  as.numeric(gsub("[^0-9]", "", line)) / 1024
}

refuse <- function(version, reason) {
  cat(toJSON(list(version = version, refused = reason), auto_unbox = TRUE), "\n")
  quit(status = 0)
}

run <- function(version, fit, loglik) {
  before <- peak_mb()
  seconds <- numeric()
  while (length(seconds) == 0 || (length(seconds) < 15 && sum(seconds) < 3)) {
    began <- as.numeric(Sys.time())
    result <- suppressMessages(suppressWarnings(fit()))
    seconds <- c(seconds, as.numeric(Sys.time()) - began)
  }
  line <- list(version = version, loglik = loglik(result), seconds = as.list(seconds), data_mb = before, peak_mb = peak_mb())
  cat(toJSON(line, auto_unbox = TRUE, digits = NA), "\n")
}
