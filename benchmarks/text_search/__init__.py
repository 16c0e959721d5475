"""Search by words beside the libraries that people use for it."""
