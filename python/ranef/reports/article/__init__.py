"""A fit as one page and as paragraphs of an article: data, model, estimates, checks, inference, citations."""
