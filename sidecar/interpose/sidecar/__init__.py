"""What collects, stores and answers for captured processes."""
