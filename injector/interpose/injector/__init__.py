"""What puts the library into programs."""
