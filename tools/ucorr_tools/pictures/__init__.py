"""Pictures in, pictures out: files, filters, plots."""
