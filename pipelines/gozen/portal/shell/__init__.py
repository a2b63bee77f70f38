"""Common parts of all pages of the portal: log-in, forms, languages, themes, headers, error pages, metrics."""
