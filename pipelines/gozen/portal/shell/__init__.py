"""What all pages of the portal share: log-in, forms, languages, themes, headers, error pages, metrics."""
